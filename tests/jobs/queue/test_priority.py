"""Another priority for a job that waits: its place, what it is charged to, and the order of all others."""

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from redis import Redis

from jobs.db import keys
from jobs.db.scripts import PREFIX, Scripts
from jobs.errors import InvalidRequestError, JobNotWaitingError, UnknownJobError
from jobs.queue.leases import Leases
from jobs.queue.order import WEIGHTS, cost_of
from jobs.queue.priority import Priorities
from jobs.queue.queue import JobQueue
from jobs.requests.request import Priority
from jobs.requests.tasks import QueryTask
from jobs.status.job import JobStatus
from jobs.status.view import View
from tests.jobs.queue.test_order import served, submit, take_next
from tests.jobs.samples import RESOLVED, claimed, pictures_of

LOW, NORMAL, HIGH = Priority.LOW, Priority.NORMAL, Priority.HIGH
Change = Callable[[str, Priority], None]


@pytest.fixture
def change(redis: Redis) -> Change:
    """Gives a job another priority."""
    return Priorities(redis).change


def line(redis: Redis) -> list[str]:
    """The queue in its order."""
    return cast("list[str]", redis.zrange(keys.WAITING, 0, -1))


def field(redis: Redis, job_id: str, name: str) -> str:
    return str(redis.hget(keys.job(job_id), name))


def test_a_job_that_is_raised_goes_first_and_one_that_is_lowered_has_a_quarter_of_the_share(
    queue: JobQueue, leases: Leases, change: Change
) -> None:
    first, *others, last = submit(queue, 8)
    change(first, LOW)
    change(last, HIGH)
    order = served(leases, 8)
    assert order[0] == last
    assert [job_id for job_id in order if job_id in others] == others
    assert order.index(first) in {3, 4}  # chance decides between it and the fourth of the others


def test_the_worker_gets_the_new_priority_and_so_does_whoever_asks(
    queue: JobQueue, leases: Leases, change: Change
) -> None:
    (job_id,) = submit(queue, 1, "studio")
    before = queue.get(job_id)
    change(job_id, HIGH)
    after = queue.get(job_id)
    assert after.request == before.request.model_copy(update={"priority": HIGH})
    assert after.caller == before.caller
    assert take_next(leases).request == after.request


def test_a_job_that_is_raised_never_falls_behind_where_it_was(
    queue: JobQueue, redis: Redis, change: Change
) -> None:
    (low,) = submit(queue, 1, priority=LOW)
    submit(queue, 60, priority=HIGH)
    place = line(redis).index(low)
    assert 0 < place < 60
    change(low, HIGH)  # behind 60 of the same flow
    assert line(redis).index(low) == place


def test_a_job_that_is_lowered_never_comes_forward(queue: JobQueue, redis: Redis, change: Change) -> None:
    *_, last = submit(queue, 60, priority=HIGH)
    submit(queue, 10, "other", priority=LOW)
    place = line(redis).index(last)
    change(last, LOW)
    assert line(redis).index(last) == place


def test_the_others_keep_their_order(queue: JobQueue, redis: Redis, change: Change) -> None:
    chance = random.Random(3)
    ids = [
        job_id
        for number in range(40)
        for job_id in submit(queue, 1, f"caller {number % 3}", priority=chance.choice(list(Priority)))
    ]
    for _ in range(60):
        chosen = chance.choice(ids)
        others = [job_id for job_id in line(redis) if job_id != chosen]
        change(chosen, chance.choice(list(Priority)))
        assert [job_id for job_id in line(redis) if job_id != chosen] == others


@pytest.mark.parametrize("wanted", [LOW, HIGH])
def test_a_caller_who_changes_its_mind_gets_what_it_would_have_got_at_first(
    queue: JobQueue, leases: Leases, redis: Redis, change: Change, wanted: Priority
) -> None:
    def shares(*, changed: bool) -> list[bool]:
        redis.flushall()
        own = submit(queue, 12, "a", priority=NORMAL if changed else wanted)
        submit(queue, 30, "b")
        for job_id in own if changed else ():
            change(job_id, wanted)
        return [job_id in own for job_id in served(leases, 30)]

    at_first, later = sum(shares(changed=False)), sum(shares(changed=True))
    # A job that is lowered stays behind the place that it had, which may be one turn more.
    assert abs(at_first - later) <= 1


def test_what_was_changed_and_canceled_is_not_held_against_its_caller(
    queue: JobQueue, change: Change, redis: Redis
) -> None:
    for job_id in submit(queue, 20, "fickle"):
        change(job_id, HIGH)
        change(job_id, LOW)
        queue.cancel(job_id)
    (job_id,) = submit(queue, 1, "fickle")
    assert float(field(redis, job_id, "tag")) == pytest.approx(cost_of(RESOLVED) / WEIGHTS[NORMAL])
    assert (queue.backlog().jobs, queue.backlog().cost) == (1, cost_of(RESOLVED))


def test_the_indexes_of_the_queue_follow(queue: JobQueue, redis: Redis, change: Change) -> None:
    (job_id,) = submit(queue, 1)
    for wanted in (HIGH, LOW, NORMAL):
        change(job_id, wanted)
        waits = {priority: redis.zcard(f"{PREFIX}waiting_since:{priority}") for priority in Priority}
        assert waits == {**dict.fromkeys(Priority, 0), wanted: 1}
        assert redis.zscore(f"{PREFIX}waiting_for:pocket", job_id) == redis.zscore(keys.WAITING, job_id)
        assert queue.backlog().cost == cost_of(RESOLVED) == int(str(redis.hget(keys.WORK_FOR, "pocket")))


def test_the_same_priority_changes_nothing(queue: JobQueue, redis: Redis, change: Change) -> None:
    (job_id,) = submit(queue, 1)
    before = redis.hgetall(keys.job(job_id))
    change(job_id, NORMAL)
    assert redis.hgetall(keys.job(job_id)) == before
    assert redis.exists(keys.events(job_id)) == 0


def test_its_events_tell_of_it_behind_the_first(queue: JobQueue, redis: Redis, change: Change) -> None:
    (job_id,) = submit(queue, 1)
    change(job_id, LOW)
    rows: Any = redis.xrange(keys.events(job_id))
    events = [fields for _, fields in rows]
    assert [event["type"] for event in events] == ["queued", "log"]
    assert events[1]["message"] == "priority changed from normal to low"


def test_only_a_job_that_waits_can_change(
    queue: JobQueue, leases: Leases, change: Change, redis: Redis
) -> None:
    (job_id,) = submit(queue, 1)
    lease = claimed(leases, job_id)
    with pytest.raises(JobNotWaitingError, match="is running"):
        change(job_id, HIGH)
    leases.succeed(lease, pictures_of(lease))
    with pytest.raises(JobNotWaitingError, match="is succeeded"):
        change(job_id, HIGH)
    with pytest.raises(UnknownJobError):
        change("0" * 28, HIGH)
    task = queue.submit(QueryTask(clip="pocket-m", text="x")).job.id
    with pytest.raises(InvalidRequestError, match="has no priority"):
        change(task, HIGH)
    assert redis.zcard(keys.WAITING) == 1


def test_a_job_that_comes_back_can_change_too(queue: JobQueue, leases: Leases, change: Change) -> None:
    first, second = submit(queue, 2)
    leases.release(take_next(leases))
    change(first, LOW)
    assert served(leases, 2) == [second, first]


def test_another_tenants_job_is_unknown_and_an_operator_s_change_has_that_tenant_s_weight(
    queue: JobQueue, redis: Redis
) -> None:
    (job_id,) = submit(queue.seen_by(View("studio", is_whole=False)), 1, "a")
    with pytest.raises(UnknownJobError):
        Priorities(redis, View("rival", is_whole=False)).change(job_id, HIGH)
    told: list[tuple[str, str]] = []
    watched = View().watched(lambda job_id, tenant: told.append((job_id, tenant)))
    Priorities(redis, watched, {"studio": 2.0}.__getitem__).change(job_id, HIGH)
    assert float(field(redis, job_id, "share")) == pytest.approx(cost_of(RESOLVED) / (2 * WEIGHTS[HIGH]))
    assert told == [(job_id, "studio")]
    assert redis.exists(f"{PREFIX}flows_of:studio:32") == 1


def test_a_job_of_another_version_keeps_what_this_one_does_not_know(
    queue: JobQueue, redis: Redis, change: Change, leases: Leases
) -> None:
    (job_id,) = submit(queue, 1)
    stored = {**json.loads(field(redis, job_id, "request")), "unheard_of": [1.5e-07, "é"]}
    stored.pop("priority", None)  # of a version without priorities
    redis.hset(keys.job(job_id), "request", json.dumps(stored))
    redis.hdel(keys.job(job_id), "kind", "preset")
    change(job_id, HIGH)
    assert json.loads(field(redis, job_id, "request")) == {**stored, "priority": "high"}
    assert leases.claim_next() is None  # it is read by no worker of this version, and parked
    assert redis.zscore(keys.PARKED, job_id) is not None
    change(job_id, LOW)
    assert redis.zscore(keys.PARKED, job_id) == float(field(redis, job_id, "tag"))
    assert line(redis) == []
    assert queue.counts()[JobStatus.QUEUED] == 1


def test_a_change_that_has_read_an_old_request_is_told(queue: JobQueue, redis: Redis, change: Change) -> None:
    (job_id,) = submit(queue, 1)
    read = field(redis, job_id, "request")
    change(job_id, HIGH)
    told = Scripts(redis)("prioritize", job_id, read, read, "anonymous:low", "1", 0)
    assert told == "changed"
    assert field(redis, job_id, "flow").endswith(":high")


def test_changes_at_the_same_time_leave_one_job_at_one_place(queue: JobQueue, redis: Redis) -> None:
    (job_id,) = submit(queue, 1)
    wanted = [LOW, HIGH, NORMAL] * 10
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(Priorities(redis).change, job_id, each) for each in wanted]:
            done.result()
    left = queue.get(job_id).request.priority
    assert field(redis, job_id, "flow").endswith(f":{left}")
    assert {each: redis.zcard(f"{PREFIX}waiting_since:{each}") for each in Priority}[left] == 1
    assert line(redis) == [job_id]
    assert queue.backlog().cost == cost_of(RESOLVED)
