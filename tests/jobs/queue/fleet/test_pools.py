"""Pools: how they are named, and how much work each has."""

import pytest
from redis import Redis

from jobs.errors import ConfigurationError
from jobs.queue.fleet.pools import Pools, pools_of, require_models
from jobs.queue.order import cost_of
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.workers import WorkerRegistry
from jobs.requests.tasks import QueryTask
from jobs.status.pools import EVERYTHING, PoolPlan, parse_pools
from jobs.status.workers import WorkerInfo
from tests.jobs.queue.test_order import asking, submit
from tests.jobs.queue.test_workers import worker

PLANNED = parse_pools("l4 = sd15, sd15-inpaint; h100=*")


def member(name: str, pool: str, **fields: object) -> WorkerInfo:
    return worker(name).model_copy(update={"pool": pool, **fields})


def test_pools_are_read_from_one_line() -> None:
    assert (PoolPlan(name="l4", models=("sd15", "sd15-inpaint")), PoolPlan(name="h100")) == PLANNED
    assert parse_pools("") == parse_pools(" ; ") == EVERYTHING


@pytest.mark.parametrize(
    "text", ["l4", "=a", "l4=", "l4=a,,b", "l4=*,a", "L4=a", "-a=b", "a=b;a=c", "a b=c", f"{'a' * 41}=b"]
)
def test_what_is_no_line_of_pools_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"pool|form"):
        parse_pools(text)


def test_a_pool_of_unknown_models_is_a_wrong_setting() -> None:
    assert require_models(PLANNED, {"sd15", "sd15-inpaint"}) == PLANNED
    with pytest.raises(ConfigurationError, match="lacks: sd15-inpaint"):
        require_models(PLANNED, {"sd15"})


def test_the_work_of_a_model_is_divided_among_the_pools_that_take_it() -> None:
    work = {"sd15": 1000, "sdxl": 600, "": 50, "gone": 7}
    workers = (member("a", "h100", load=30.0), member("b", "h100", load=20.0))
    small, large = pools_of(PLANNED, workers, work, {"h100": "100", "l4": "20"})
    assert (small.waiting_work, small.running_work, small.workers) == (500 + 50, 0, 0)
    assert (large.waiting_work, large.running_work, large.workers) == (500 + 600 + 7, 50, 2)
    assert small.work_s == 550 / 20
    assert large.work_s == (1107 + 50) / 100
    assert small.waiting_work + large.waiting_work == sum(work.values())


def test_a_task_of_a_clip_is_for_the_first_pool_and_a_model_that_nobody_takes_for_none(
    redis: Redis, queue: JobQueue
) -> None:
    task = QueryTask(text="an apple", clip="pocket-m")
    queue.submit(task)
    submit(queue, 1, model="big")
    pools = Pools(redis, parse_pools("one=pocket;two=pocket"), {"pocket-m"}).read(())
    assert [pool.waiting_work for pool in pools] == [cost_of(task), 0]


@pytest.mark.parametrize(("work", "seconds"), [({}, 0), ({"sd15": 10**9}, 1)])
def test_a_pool_of_unknown_speed_asks_for_one_worker(work: dict[str, int], seconds: float) -> None:
    pool, _ = pools_of(PLANNED, (), work, {})
    assert (pool.worker_speed, pool.work_s) == (None, seconds)


def test_a_pool_that_only_its_workers_know_is_told_of() -> None:
    workers = (member("a", "spot", serves=("sdxl",)),)
    assert [pool.name for pool in pools_of(PLANNED, workers, {}, {})] == ["l4", "h100", "spot"]
    (_, _, spot) = pools_of(PLANNED, workers, {"sdxl": 100}, {})
    assert (spot.models, spot.waiting_work) == (("sdxl",), 50)


def test_the_speed_of_a_pool_outlives_its_workers(redis: Redis, queue: JobQueue, reaper: Reaper) -> None:
    registry, pools = WorkerRegistry(redis), Pools(redis, parse_pools("cpu=pocket"))
    for name, speed in (("a", 30.0), ("b", 50.0)):
        registry.announce(member(name, "cpu", speed=speed))
    reaper.sweep()
    for name in ("a", "b"):
        registry.leave(name)
    reaper.sweep()
    submit(queue, 3)
    (pool,) = pools.read(registry.alive())
    assert (pool.workers, pool.worker_speed) == (0, 40)
    assert pool.work_s == pytest.approx(3 * cost_of(asking()) / 40, abs=0.001)
