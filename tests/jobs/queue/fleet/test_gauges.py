"""The numbers of the whole queue."""

import pytest
from redis import Redis

from jobs.db import keys
from jobs.queue.fleet.gauges import read_gauges
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.requests.request import Priority
from tests.jobs.queue.test_order import submit, take_next
from tests.jobs.samples import claimed


def test_an_execution_that_ends_with_its_worker_is_lost(
    redis: Redis, queue: JobQueue, doomed: Leases, leases: Leases, reaper: Reaper
) -> None:
    submit(queue, 1)
    take_next(doomed)
    reaper.sweep()
    lease = take_next(leases)
    leases.release(lease)
    assert read_gauges(redis).lost == 1
    leases.surrender(take_next(leases))
    assert read_gauges(redis).lost == 2


def test_the_oldest_job_of_each_priority_has_its_age(redis: Redis, queue: JobQueue, leases: Leases) -> None:
    old, _ = submit(queue, 2, priority=Priority.LOW)
    redis.zincrby(keys.waiting_since("low"), -30_000_000, old)
    ages = read_gauges(redis).oldest_s
    assert ages["low"] == pytest.approx(30, abs=2)
    assert ages["normal"] == ages["high"] == 0
    claimed(leases, old)
    assert read_gauges(redis).oldest_s["low"] < 5
