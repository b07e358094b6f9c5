"""The lines of models: what a worker that serves some of them takes."""

import random
from typing import Any

import pytest
from redis import Redis

from jobs.db import keys
from jobs.db.scripts import PREFIX
from jobs.queue.leases import Leases
from jobs.queue.order import cost_of
from jobs.queue.queue import JobQueue
from jobs.requests.request import Priority
from jobs.requests.tasks import QueryTask
from jobs.status.job import JobStatus
from tests.jobs.queue.test_order import asking, submit, take_next
from tests.jobs.samples import pictures_of


@pytest.fixture
def serving(redis: Redis) -> Leases:
    """A worker that serves the model ``big`` alone, and the tasks of CLIPs."""
    return Leases(redis, worker="big", serves=("big", "pocket-m"))


def test_a_worker_takes_the_jobs_of_its_models_and_the_tasks_of_clips(
    queue: JobQueue, serving: Leases
) -> None:
    submit(queue, 1, model="pocket")
    (own,) = submit(queue, 1, model="big")
    task = queue.submit(QueryTask(text="an apple", clip="pocket-m")).job.id
    assert {take_next(serving).job_id, take_next(serving).job_id} == {own, task}
    assert serving.claim_next() is None
    assert serving.claim_next(("pocket",)) is None


def test_a_long_line_of_another_model_hides_nothing(queue: JobQueue, serving: Leases) -> None:
    submit(queue, 90, model="pocket")
    (own,) = submit(queue, 1, model="big")
    assert take_next(serving).job_id == own


def test_a_job_of_an_older_api_is_in_no_line_and_is_found(
    redis: Redis, queue: JobQueue, serving: Leases
) -> None:
    (own,) = submit(queue, 1, model="big")
    redis.delete(f"{PREFIX}waiting_for:big", keys.WORK_FOR)
    assert take_next(serving).job_id == own


def test_the_order_within_a_line_is_that_of_the_queue(queue: JobQueue, serving: Leases) -> None:
    first = submit(queue, 3, caller="ann", model="big")
    (other,) = submit(queue, 1, caller="ben", model="big")
    taken = [take_next(serving).job_id for _ in range(4)]
    assert taken.index(other) <= 1
    assert [job_id for job_id in taken if job_id != other] == first


def test_jobs_that_nobody_serves_hold_up_the_time_of_no_other_line(
    redis: Redis, queue: JobQueue, serving: Leases
) -> None:
    submit(queue, 1, caller="zoe", model="pocket")
    submit(queue, 20, caller="ann", model="big")
    for _ in range(10):
        take_next(serving)
    (late,) = submit(queue, 1, caller="ben", model="big")
    # With the time of the first job of all, ben would have the credit of ten jobs that he never waited for.
    assert float(str(redis.get(f"{PREFIX}virtual_time"))) > 5 * cost_of(asking()) / 4
    taken = [take_next(serving).job_id for _ in range(3)]
    assert late in taken


def test_the_lines_are_what_waits_whatever_happens(redis: Redis, queue: JobQueue) -> None:
    chance, leases = random.Random(7), Leases(redis, worker="any", model_patience_s=0)
    held = []
    for _ in range(150):
        match chance.choice(("submit", "submit", "claim", "cancel", "release", "succeed", "delete")):
            case "submit":
                fields = {
                    "model": chance.choice(("pocket", "big")),
                    "priority": chance.choice(list(Priority)),
                }
                submit(queue, 1, **fields)
            case "claim" if (lease := leases.claim_next()) is not None:
                held.append(lease)
            case "release" if held:
                leases.release(held.pop())
            case "succeed" if held:
                lease = held.pop()
                leases.succeed(lease, pictures_of(lease))
            case "cancel" | "delete" as end:
                waiting = queue.list(status=JobStatus.QUEUED).data
                if waiting:
                    getattr(queue, end)(chance.choice(waiting).id)
        check_lines(redis)


def scores(redis: Redis, key: str) -> dict[str, float]:
    """The members of a sorted set and their scores."""
    found: Any = redis.zrange(key, 0, -1, withscores=True)
    return dict(found)


def check_lines(redis: Redis) -> None:
    waiting = scores(redis, keys.WAITING)
    records = {job_id: redis.hgetall(keys.job(job_id)) for job_id in waiting}
    for model in ("pocket", "big"):
        line = scores(redis, f"{PREFIX}waiting_for:{model}")
        own = {job_id for job_id in waiting if records[job_id]["model"] == model}
        assert line == {job_id: waiting[job_id] for job_id in own}
        costs = sum(int(records[job_id]["cost"]) for job_id in own)
        assert int(redis.hget(keys.WORK_FOR, model) or 0) == costs
    since = [redis.zrange(keys.waiting_since(each), 0, -1) for each in Priority]
    assert sorted(job_id for each in since for job_id in each) == sorted(waiting)


def test_what_an_older_version_left_goes_when_nothing_waits(redis: Redis, queue: JobQueue) -> None:
    gone, last = submit(queue, 2)
    redis.zrem(keys.WAITING, gone)  # as a version does that knows no lines
    queue.cancel(last)
    assert not redis.exists(keys.WORK_FOR, f"{PREFIX}waiting_for:pocket", keys.waiting_since("normal"))
