"""Tenants share the workers first, and the callers of each divide its share."""

import pytest
from redis import Redis

from jobs.errors import UnknownJobError
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.status.job import JobStatus
from jobs.status.view import View
from tests.jobs.queue.test_order import served, submit


def of(queue: JobQueue, tenant: str) -> JobQueue:
    return queue.seen_by(View(tenant, is_whole=False))


def test_a_tenant_of_many_callers_gets_no_more_than_one_of_a_single_one(
    queue: JobQueue, leases: Leases
) -> None:
    many, one = of(queue, "many"), of(queue, "one")
    crowd = [job_id for caller in "abcdefgh" for job_id in submit(many, 2, caller)]
    own = submit(one, 16, "z")
    first = served(leases, 16)
    # Those who came first had the share to themselves for a moment: 1 + 1/2 + ... + 1/8 of one, at most.
    assert 5 <= sum(job_id in own for job_id in first) <= 11
    assert sum(job_id in crowd for job_id in first) == 16 - sum(job_id in own for job_id in first)


def test_the_callers_of_a_tenant_take_turns(queue: JobQueue, leases: Leases) -> None:
    studio = of(queue, "studio")
    busy = submit(studio, 20, "busy")
    late = submit(studio, 1, "late")
    assert late[0] in served(leases, 4)
    assert len(busy) == 20


def test_tenants_take_turns_however_much_each_submits(queue: JobQueue, leases: Leases) -> None:
    submit(of(queue, "loud"), 40, "a")
    quiet = submit(of(queue, "quiet"), 4, "b")
    assert set(quiet) <= set(served(leases, 9))


def test_two_tenants_callers_of_one_name_are_two(queue: JobQueue, redis: Redis) -> None:
    ids = [submit(of(queue, tenant), 1, "alice")[0] for tenant in ("one", "two", "")]
    assert len({redis.hget(f"{{lodestar}}:job:{job_id}", "flow") for job_id in ids}) == 3


def test_what_was_in_the_queue_before_does_not_divide_a_share_for_ever(
    queue: JobQueue, leases: Leases, redis: Redis
) -> None:
    studio = of(queue, "studio")
    submit(studio, 1, "gone")
    served(leases, 1)
    submit(studio, 1, "first")
    served(leases, 1)
    (job_id,) = submit(studio, 1, "second")
    share, cost = (float(str(redis.hget(f"{{lodestar}}:job:{job_id}", name))) for name in ("share", "cost"))
    assert share <= 2 * cost / 4


def test_a_worker_knows_whose_job_it_has(queue: JobQueue, leases: Leases) -> None:
    submit(of(queue, "studio"), 1)
    lease = leases.claim_next()
    assert lease is not None
    assert lease.tenant == "studio"


def test_indexes_of_a_tenant_follow_its_jobs(queue: JobQueue, leases: Leases, redis: Redis) -> None:
    studio = of(queue, "studio")
    ids = submit(studio, 3)
    lease = leases.claim_next()
    assert lease is not None
    assert studio.counts() == {**dict.fromkeys(JobStatus, 0), JobStatus.QUEUED: 2, JobStatus.RUNNING: 1}
    assert [job.id for job in studio.list(status=JobStatus.RUNNING).data] == [lease.job_id]
    studio.cancel(next(job_id for job_id in ids if job_id != lease.job_id))
    assert studio.counts()[JobStatus.CANCELED] == 1
    for job_id in ids:
        studio.delete(job_id)
    assert studio.list().data == ()
    assert set(studio.counts().values()) == {0}
    left = {"{lodestar}:events_of:studio", "{lodestar}:flows_of:studio:4"}
    assert set(redis.keys("{lodestar}:*_of:studio*")) == left
    assert all(redis.ttl(key) > 0 for key in left)


def test_a_view_counts_and_lists_what_it_shows(queue: JobQueue) -> None:
    submit(of(queue, "studio"), 3)
    submit(queue, 2)
    counted = {view: queue.seen_by(view).counts()[JobStatus.QUEUED] for view in (View(), View("", False))}
    assert list(counted.values()) == [5, 2]
    assert of(queue, "studio").counts()[JobStatus.QUEUED] == 3
    assert len(queue.list().data) == 5
    assert len(of(queue, "").list().data) == 2
    assert of(queue, "other").list().data == ()


def test_a_job_outside_of_a_view_is_unknown_word_for_word(queue: JobQueue) -> None:
    (job_id,) = submit(of(queue, "studio"), 1)
    other = of(queue, "other")
    for step in (other.get, other.images, other.cancel, other.delete):
        with pytest.raises(UnknownJobError) as hidden:
            step(job_id)
        with pytest.raises(UnknownJobError) as missing:
            step("0" * len(job_id))
        assert hidden.value.message.replace(job_id, "") == missing.value.message.replace(
            "0" * len(job_id), ""
        )
    assert queue.get(job_id).status is JobStatus.QUEUED
