"""The time to the end of a waiting job."""

import pytest
from redis import Redis

from jobs.db.scripts import PREFIX
from jobs.queue.order import cost_of
from jobs.queue.pace import Backlog, Pace
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.workers import WorkerRegistry
from tests.jobs.queue.test_workers import worker
from tests.jobs.samples import RESOLVED


def test_it_is_the_work_before_it_and_its_own_at_the_speed_of_all_workers() -> None:
    line = Backlog(jobs=10, cost=1000, pace=Pace(speed=50, load=200))
    assert line.eta_s(0, 100) == (200 + 100) / 50
    assert line.eta_s(4, 100) == (200 + 4 * 100 + 100) / 50
    assert line.eta_s(line.jobs) == (200 + 1000) / 50


@pytest.mark.parametrize("pace", [None, Pace(speed=0, load=0)])
def test_without_a_speed_nothing_is_foreseen(pace: Pace | None) -> None:
    assert Backlog(jobs=1, cost=10, pace=pace).eta_s(0, 10) is None


def test_waiting_jobs_tell_it_once_workers_have_measured_themselves(
    queue: JobQueue, redis: Redis, reaper: Reaper
) -> None:
    first, second = (queue.submit(RESOLVED).job.id for _ in range(2))
    WorkerRegistry(redis).announce(worker("new"))
    reaper.sweep()
    assert queue.get(first).progress.eta_s is None
    WorkerRegistry(redis).announce(worker("a").model_copy(update={"speed": 6.0, "load": 30.0}))
    WorkerRegistry(redis).announce(worker("b").model_copy(update={"speed": 4.0, "load": 20.0}))
    reaper.sweep()
    own = cost_of(RESOLVED)
    assert queue.get(first).progress.eta_s == (50 + own) / 10
    assert queue.get(second).progress.eta_s == (50 + 2 * own) / 10
    assert [job.progress.eta_s for job in queue.list().data] == [(50 + 2 * own) / 10, (50 + own) / 10]


def test_a_pace_that_nobody_confirms_is_soon_forgotten(redis: Redis, reaper: Reaper) -> None:
    WorkerRegistry(redis).announce(worker("a").model_copy(update={"speed": 6.0}))
    reaper.sweep()
    assert 0 < redis.ttl(PREFIX + "pace") <= 30
