"""Workers hear at once of jobs that are to stop."""

from collections.abc import Iterator

import pytest
from redis import Redis

from jobs.queue.interrupts import Interrupts
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from tests.jobs.samples import RESOLVED, claimed


@pytest.fixture
def interrupts(redis: Redis) -> Iterator[Interrupts]:
    heard = Interrupts(redis)
    assert heard.wait(0.1) is None
    yield heard
    heard.close()


def test_a_cancel_and_a_deletion_of_running_jobs_are_heard(
    interrupts: Interrupts, queue: JobQueue, leases: Leases
) -> None:
    canceled, deleted, waiting = (queue.submit(RESOLVED).job.id for _ in range(3))
    claimed(leases, canceled)
    claimed(leases, deleted)
    for job_id in (waiting, canceled):
        queue.cancel(job_id)
    queue.delete(deleted)
    assert [interrupts.wait(5) for _ in range(2)] == [canceled, deleted]
    assert interrupts.wait(0.1) is None


def test_a_lost_connection_is_made_again(
    interrupts: Interrupts, redis: Redis, queue: JobQueue, leases: Leases
) -> None:
    redis.client_kill_filter(_type="pubsub")
    interrupts.wait(0.1)
    job_id = queue.submit(RESOLVED).job.id
    claimed(leases, job_id)
    queue.cancel(job_id)
    assert interrupts.wait(5) == job_id
