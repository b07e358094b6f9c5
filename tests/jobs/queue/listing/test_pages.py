"""Lists of jobs in an order and of kinds of their own; see ``test_queue`` for those by creation."""

from typing import get_args

import pytest
from redis import Redis
from structlog.testing import capture_logs

from jobs.db import keys
from jobs.errors import JobFailedError
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.requests.request import Priority
from jobs.requests.tasks import JobKind, ScoreTask, Task
from jobs.status.job import JobStatus
from tests.jobs.samples import RESOLVED, claimed


def test_jobs_in_turn_come_page_by_page_as_they_will_be_claimed(redis: Redis, leases: Leases) -> None:
    queue = JobQueue(redis, max_queued=50)
    first = [queue.submit(RESOLVED, caller="many").job.id for _ in range(6)]
    late = queue.submit(RESOLVED, caller="one").job.id
    urgent = queue.submit(RESOLVED.model_copy(update={"priority": Priority.HIGH}), caller="one").job.id
    page = queue.list(order="turn", limit=3)
    rest = queue.list(order="turn", limit=10, cursor=page.next_cursor)
    jobs = (*page.data, *rest.data)
    assert [job.queue_position for job in jobs] == list(range(8))
    assert rest.next_cursor is None
    assert jobs[0].id == urgent
    assert [job.id for job in jobs].index(late) < 3  # another caller's one job goes between the many
    assert {job.id for job in jobs} == {*first, late, urgent}
    assert [len({job.caller for job in jobs if job.id in ids}) for ids in (first, [late, urgent])] == [1, 1]
    assert len({job.caller for job in jobs}) == 2
    lease = leases.claim_next()
    assert lease is not None
    assert lease.job_id == urgent


def test_jobs_of_a_kind_are_found_among_others(redis: Redis) -> None:
    queue = JobQueue(redis, max_queued=50)
    for _ in range(4):
        queue.submit(ScoreTask(clip="pocket-m", pictures=("a.png",)))
    picture = queue.submit(RESOLVED).job.id
    assert [job.id for job in queue.list(kinds=["generate"]).data] == [picture]
    assert [job.id for job in queue.list(kinds=["generate"], order="turn").data] == [picture]
    assert len(queue.list(kinds=["score"], status=JobStatus.QUEUED, limit=3).data) == 3
    assert queue.list(kinds=["score"], status=JobStatus.RUNNING).data == ()


def test_every_kind_of_task_can_be_asked_for() -> None:
    kinds = {task.model_fields["kind"].default for task in get_args(Task)}
    assert set(get_args(JobKind)) == {"generate", *kinds}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("request", "{"),
        ("request", "[]"),
        ("request", None),
        ("status", "odd"),
        ("created_us", "yesterday"),
        ("attempts", None),
        ("error", "{"),
        ("error", "[]"),
        ("images", '[{"index": 0, "seed": "many"}]'),
    ],
)
def test_a_damaged_record_hides_no_other_job(
    redis: Redis, leases: Leases, field: str, value: str | None
) -> None:
    queue = JobQueue(redis, max_queued=50)
    whole, hit = (queue.submit(RESOLVED).job.id for _ in range(2))
    for job_id in (whole, hit):
        leases.fail(claimed(leases, job_id), JobFailedError("out of paint"))
    if value is None:
        redis.hdel(keys.job(hit), field)
    else:
        redis.hset(keys.job(hit), field, value)
    with capture_logs() as logs:
        assert [job.id for job in queue.list().data] == [whole]
    assert [(each["event"], each["job"]) for each in logs] == [("job cannot be read", hit)]
    assert RESOLVED.prompt not in str(logs)
    found = (
        queue.list(text=RESOLVED.prompt),
        queue.list(error="job_failed"),
        queue.list(model=RESOLVED.model),
    )
    assert all(whole in [job.id for job in page.data] for page in found)
    assert [reason.jobs for reason in queue.failures().data] in ([1], [2])
