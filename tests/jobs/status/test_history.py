"""The last hour of the queue, of real records."""

import json

import pytest
from redis import Redis

from jobs.db import keys
from jobs.errors import DeadlineExceededError
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.status.history import MINUTES, History
from jobs.status.job import JobStatus
from jobs.status.view import View
from tests.jobs.samples import RESOLVED, claimed, pictures_of

HOUR_US = 3_600_000_000


def now_us(redis: Redis) -> int:
    seconds, microseconds = redis.time()
    return int(seconds) * 1_000_000 + int(microseconds)


@pytest.fixture
def queue(redis: Redis) -> JobQueue:
    return JobQueue(redis, max_queued=100)


def ended(redis: Redis, job_id: str, *, ago_s: float, waited_s: float, ran_s: float) -> None:
    """Put the end of a job somewhere in time."""
    finished = now_us(redis) - int(ago_s * 1e6)
    started = finished - int(ran_s * 1e6)
    times = {"finished_us": finished, "started_us": started, "created_us": started - int(waited_s * 1e6)}
    for name, value in times.items():
        redis.hset(keys.job(job_id), name, str(value))
    redis.zadd(keys.FINISHED, {job_id: finished})


def test_an_hour_without_jobs_has_its_minutes(redis: Redis) -> None:
    told = History(redis).read()
    assert len(told.minutes) == MINUTES
    assert told.wait_s.p50 is None
    assert (told.failures, told.is_cut) == ((), False)


def test_what_ended_within_the_hour_is_counted_in_its_minute(redis: Redis, queue: JobQueue) -> None:
    leases = Leases(redis, worker="played")
    ids = [queue.submit(RESOLVED).job.id for _ in range(5)]
    for number, job_id in enumerate(ids[:3]):
        lease = claimed(leases, job_id)
        leases.succeed(lease, pictures_of(lease))
        ended(redis, job_id, ago_s=90, waited_s=number + 1, ran_s=10 * (number + 1))
    leases.fail(claimed(leases, ids[3]), DeadlineExceededError("it took too long"))
    ended(redis, ids[3], ago_s=30, waited_s=9, ran_s=99)
    queue.cancel(ids[4])
    told = History(redis).read()
    assert told.jobs == {JobStatus.SUCCEEDED: 3, JobStatus.FAILED: 1, JobStatus.CANCELED: 1}
    assert told.minutes[-2].succeeded == 3
    assert (told.minutes[-1].failed, told.minutes[-1].canceled) == (1, 1)
    assert (told.wait_s.p50, told.wait_s.p95) == (2, 9)
    assert (told.run_s.p50, told.run_s.p95) == (20, 30)  # of those that succeeded
    (failures,) = told.failures
    assert (failures.type, failures.jobs, failures.newest) == ("deadline_exceeded", 1, ids[3])


def test_what_ended_before_the_hour_or_was_deleted_does_not_count(redis: Redis, queue: JobQueue) -> None:
    old, deleted = (queue.submit(RESOLVED).job.id for _ in range(2))
    for job_id in (old, deleted):
        queue.cancel(job_id)
    redis.zadd(keys.FINISHED, {old: now_us(redis) - HOUR_US - 1_000_000})
    queue.delete(deleted)
    assert History(redis).read().jobs[JobStatus.CANCELED] == 0


def test_each_tenant_sees_its_own_hour(redis: Redis, queue: JobQueue) -> None:
    view = View(tenant="acme", is_whole=False)
    job_id = queue.seen_by(view).submit(RESOLVED).job.id
    queue.cancel(job_id)
    assert json.loads(History(redis).seen_by(view).read().model_dump_json())["jobs"]["canceled"] == 1
    assert History(redis, View(tenant="other", is_whole=False)).read().jobs[JobStatus.CANCELED] == 0
    assert History(redis).read().jobs[JobStatus.CANCELED] == 1


def test_what_each_caller_s_jobs_took_is_added_up(redis: Redis, queue: JobQueue) -> None:
    leases = Leases(redis, worker="played")
    for caller, ran_s in (("studio", 3), ("studio", 4), ("", 5)):
        job_id = queue.submit(RESOLVED, caller=caller).job.id
        lease = claimed(leases, job_id)
        leases.succeed(lease, pictures_of(lease))
        ended(redis, job_id, ago_s=30, waited_s=1, ran_s=ran_s)
    queue.cancel(queue.submit(RESOLVED, caller="studio").job.id)  # never began
    first, second = History(redis).read().callers
    assert (first.caller, first.jobs, first.work_s) == (queue.list(limit=1).data[0].caller, 3, 7)
    assert (second.caller, second.jobs, second.work_s) == ("anonymous", 1, 5)
