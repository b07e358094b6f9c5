"""Jobs by what no index has: prompts, models, errors, times; and how far one call looks for them."""

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from jobs.db import keys
from jobs.db.scripts import PREFIX
from jobs.errors import DeadlineExceededError, OutOfMemoryError
from jobs.queue.leases import Leases
from jobs.queue.listing import scans
from jobs.queue.queue import JobQueue
from jobs.queue.retention import Retention
from jobs.requests.tasks import ScoreTask
from jobs.status.job import JobStatus
from jobs.status.view import View
from jobs.storage.archive import JobArchive
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import JobFiles
from tests.jobs.samples import claimed, resolved

SCORE = ScoreTask(clip="pocket-m", pictures=("a.png",))


def ask(queue: JobQueue, *prompts: str, **fields: object) -> list[str]:
    """Submit jobs of these prompts; their ids."""
    return [queue.submit(resolved(prompt).model_copy(update=fields)).job.id for prompt in prompts]


def found(queue: JobQueue, **asked: object) -> list[str]:
    return [job.id for job in queue.list(**asked).data]  # type: ignore[arg-type]


def test_jobs_are_found_by_a_text_in_their_prompts_in_upper_and_lower_case(queue: JobQueue) -> None:
    _, street, tower = ask(queue, "a red apple", "Die STRASSE am Meer", "the tower, 100 %")
    queue.submit(SCORE)
    assert found(queue, text="straße") == [street]
    assert found(queue, text="tower, 100 %") == [tower]
    assert found(queue, text="*") == found(queue, text="pocket") == []


def test_filters_hold_together(queue: JobQueue, leases: Leases) -> None:
    first, second = ask(queue, "a fox", "a fox", labels=("a",))
    (other,) = ask(queue, "a fox", model="big")
    leases.fail(claimed(leases, second), OutOfMemoryError("no memory"))
    assert found(queue, text="fox", label="a", model="pocket") == [second, first]
    assert found(queue, model="big") == [other]
    assert found(queue, error="out_of_memory", text="fox", label="a") == [second]
    assert found(queue, error="deadline_exceeded") == []
    assert found(queue, error="out_of_memory", status=JobStatus.QUEUED) == []
    assert found(queue.seen_by(View("studio", is_whole=False)), text="fox") == []


def test_jobs_are_found_by_their_caller_also_in_turn_and_when_they_are_archived(
    queue: JobQueue, leases: Leases, redis: Redis, tmp_path: Path
) -> None:
    ids = [queue.submit(resolved("a fox"), caller=caller).job.id for caller in ("one", "two", "")]
    caller = queue.get(ids[0]).caller
    assert caller is not None
    assert found(queue, caller=caller) == found(queue, caller=caller, order="turn") == [ids[0]]
    assert found(queue, caller="anonymous") == [ids[2]]
    assert found(queue, caller="0" * 8) == []
    leases.fail(claimed(leases, ids[0]), OutOfMemoryError("no memory"))
    artifacts = ArtifactStore(str(tmp_path))
    time.sleep(0.01)
    Retention(
        redis, JobFiles(artifacts), keep_s=3600, archive=JobArchive(artifacts), archive_after_s=0.001
    ).sweep()
    assert redis.hexists(keys.job(ids[0]), "archived")
    archived = JobQueue(redis, max_queued=9, archive=JobArchive(artifacts))
    assert found(archived, caller=caller) == [ids[0]]


def test_a_time_bounds_a_list_on_every_page(queue: JobQueue) -> None:
    ids = ask(queue, *"abcde")
    times = [queue.get(job_id).created_at for job_id in ids]
    within = {"since": times[1], "until": times[4]}
    assert found(queue, **within) == ids[3:0:-1]
    page = queue.list(limit=2, since=times[1], until=times[4])
    rest = queue.list(limit=2, since=times[1], until=times[4], cursor=page.next_cursor)
    assert [job.id for job in (*page.data, *rest.data)] == ids[3:0:-1]
    assert rest.next_cursor is None
    assert found(queue, since=times[4] + timedelta(microseconds=1)) == []
    assert found(queue, until=datetime.min.replace(tzinfo=times[0].tzinfo)) == []


def test_a_call_looks_at_so_many_jobs_and_the_next_one_goes_on(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "BUDGET", 12)
    monkeypatch.setattr(scans, "PROMPTS_AT_A_TIME", 2)
    (wanted,) = ask(queue, "a fox")
    others = ask(queue, *["a pear"] * 6)
    looked, cursor, pages = [], None, 0
    while True:
        page = queue.list(text="fox", cursor=cursor)
        looked += [job.id for job in page.data]
        pages += 1
        cursor = page.next_cursor
        if cursor is None:
            assert page.looked_to is None
            break
        assert page.looked_to == queue.get(others[6 - 2 * pages]).created_at
    assert (looked, pages) == ([wanted], 4)


def test_what_one_status_has_below_the_place_that_another_has_reached_waits_for_the_next_call(
    queue: JobQueue, leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "BUDGET", 4)
    monkeypatch.setattr(scans, "READ_AT_A_TIME", 1)
    (old,) = ask(queue, "a fox", model="big")
    leases.fail(claimed(leases, old), OutOfMemoryError("no memory"))
    ask(queue, *["a pear"] * 3)
    (new,) = ask(queue, "a fox", model="big")
    statuses = [JobStatus.QUEUED, JobStatus.FAILED]
    first = queue.list(model="big", status=statuses)
    assert [job.id for job in first.data] == [new]
    second = queue.list(model="big", status=statuses, cursor=first.next_cursor)
    assert second.data == ()
    third = queue.list(model="big", status=statuses, cursor=second.next_cursor)
    assert ([job.id for job in third.data], third.next_cursor) == ([old], None)


def test_prompts_of_archived_jobs_are_read_where_they_are(
    redis: Redis, leases: Leases, tmp_path: Path
) -> None:
    store = ArtifactStore(str(tmp_path / "artifacts"))
    archive = JobArchive(store)
    queue = JobQueue(redis, max_queued=10, archive=archive)
    (old,) = ask(queue, "a fox", labels=("a",))
    leases.fail(claimed(leases, old), OutOfMemoryError("no memory"))
    redis.zadd(keys.FINISHED, {old: (time.time() - 3600) * 1e6})
    Retention(redis, JobFiles(store), keep_s=10**9, archive=archive, archive_after_s=60).sweep()
    assert redis.hget(f"{PREFIX}job:{old}", "request") is None
    assert found(queue, text="FOX") == found(queue, text="fox", label="a", model="pocket") == [old]
    assert found(queue, text="pear") == []
    assert [each.type for each in queue.failures(text="fox").data] == ["out_of_memory"]


def test_failures_are_counted_by_reason_the_most_frequent_first(queue: JobQueue, leases: Leases) -> None:
    for prompt, error in (("a", DeadlineExceededError), ("b", OutOfMemoryError), ("c", OutOfMemoryError)):
        (job_id,) = ask(queue, prompt)
        leases.fail(claimed(leases, job_id), error("a reason"))
    told = queue.failures()
    assert [(each.type, each.jobs, each.newest) for each in told.data] == [
        ("out_of_memory", 2, job_id),
        ("deadline_exceeded", 1, queue.list(error="deadline_exceeded").data[0].id),
    ]
    assert [each.type for each in queue.failures(text="a").data] == ["deadline_exceeded"]
    assert queue.failures(label="none").data == ()
