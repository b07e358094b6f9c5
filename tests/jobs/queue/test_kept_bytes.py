"""The size of the kept jobs, counted and bounded."""

import json
from pathlib import Path

import pytest
from redis import Redis

from jobs.db.scripts import PREFIX
from jobs.errors import JobFailedError, QueueFullError
from jobs.queue.leases import Leases
from jobs.queue.listing import pages as job_pages
from jobs.queue.queue import JobQueue
from jobs.queue.retention import PORTION, Retention
from jobs.requests.tasks import dump_request
from jobs.status.job import JobStatus
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import NO_FILES, BroughtFiles, JobFiles, input_key, upload_key
from tests.jobs.samples import RESOLVED, claimed, pictures_of, resolved

BESIDE = 2048
LIMIT = 100_000
ONE, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def bounded(redis: Redis) -> JobQueue:
    """A queue whose jobs may take ``LIMIT`` bytes together, and their files as many."""
    return JobQueue(redis, max_queued=1000, max_kept_bytes=LIMIT, max_kept_file_bytes=LIMIT)


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


@pytest.fixture
def retention(redis: Redis, artifacts: ArtifactStore) -> Retention:
    return Retention(redis, JobFiles(artifacts), keep_s=0, max_kept_bytes=LIMIT, max_kept_file_bytes=LIMIT)


def kept_bytes(redis: Redis) -> int:
    return int(str(redis.get(PREFIX + "kept_bytes") or 0))


def kept_file_bytes(redis: Redis) -> int:
    return int(str(redis.get(PREFIX + "kept_file_bytes") or 0))


def canceled(queue: JobQueue, files: BroughtFiles = NO_FILES) -> str:
    return queue.cancel(queue.submit(RESOLVED, files=files).job.id).id


def test_a_job_counts_its_request_and_its_files(queue: JobQueue, redis: Redis) -> None:
    queue.submit(RESOLVED, files=BroughtFiles(inputs=(ONE,), inputs_bytes=5000, uploads_bytes=300))
    least = BESIDE + len(dump_request(RESOLVED))
    assert least < kept_bytes(redis) < least + 500
    assert kept_file_bytes(redis) == 5300


@pytest.mark.parametrize("end", ["succeeded", "failed", "canceled"])
def test_whatever_its_end_what_it_brought_for_it_counts_no_more_and_what_came_of_it_does(
    queue: JobQueue, leases: Leases, redis: Redis, end: str
) -> None:
    kept = BroughtFiles(inputs=(ONE,), inputs_bytes=7, uploads_bytes=30_000)
    plain, brought = queue.submit(RESOLVED).job.id, queue.submit(RESOLVED, files=kept)
    before = kept_bytes(redis)
    assert kept_file_bytes(redis) == 30_007
    lease = claimed(leases, brought.job.id)
    if end == "succeeded":
        leases.succeed(lease, pictures_of(lease))
    elif end == "failed":
        leases.fail(lease, JobFailedError("no luck"))
    else:
        queue.cancel(lease.job_id)
        leases.cancel(lease)
    assert before < kept_bytes(redis) < before + 1000
    assert kept_file_bytes(redis) == 7
    queue.delete(plain)
    queue.delete(lease.job_id)
    assert kept_bytes(redis) == kept_file_bytes(redis) == 0


def test_the_files_that_it_brought_are_collected_at_once_and_the_pictures_that_it_keeps_are_not(
    queue: JobQueue, redis: Redis, artifacts: ArtifactStore, retention: Retention
) -> None:
    files = BroughtFiles(inputs=(ONE,), inputs_bytes=7, uploads_bytes=7)
    ids = [queue.submit(RESOLVED, files=files).job.id for _ in range(2)]
    for job_id in ids:
        artifacts.put(upload_key(job_id, 0, ".png"), b"picture")
        artifacts.put(input_key(job_id, ONE), b"picture")
    retention.sweep()
    assert len(artifacts.keys(ids[0])) == 2
    queue.cancel(ids[0])
    retention.sweep()
    assert artifacts.keys(ids[0]) == [input_key(ids[0], ONE)]
    assert len(artifacts.keys(ids[1])) == 2


def test_files_of_a_job_that_was_never_submitted_are_collected_and_those_of_one_that_was_are_not(
    queue: JobQueue, redis: Redis, artifacts: ArtifactStore, retention: Retention
) -> None:
    never, late = "a" * 28, "b" * 28
    for job_id in (never, late):
        queue.expect_files(job_id)
        artifacts.put(upload_key(job_id, 0, ".png"), b"picture")
    queue.submit(RESOLVED, job_id=late, files=BroughtFiles(uploads_bytes=7))
    assert retention.sweep() == 0
    assert redis.zrange(PREFIX + "orphans", 0, -1) == [never]
    redis.zadd(PREFIX + "orphans", {never: 1})
    assert retention.sweep() == 1
    assert artifacts.keys(never) == []
    assert len(artifacts.keys(late)) == 1


def test_who_keeps_a_picture_is_known_until_the_job_is_deleted(queue: JobQueue, redis: Redis) -> None:
    first = queue.submit(RESOLVED, files=BroughtFiles(inputs=(ONE, OTHER), inputs_bytes=9)).job.id
    second = canceled(queue, files=BroughtFiles(inputs=(ONE,), inputs_bytes=9))
    assert set(queue.holders(ONE)) == {first, second}
    assert queue.holders(OTHER) == (first,)
    queue.delete(first)
    assert (queue.holders(ONE), queue.holders(OTHER)) == ((second,), ())
    queue.delete(second)
    assert [str(key) for key in redis.scan_iter(PREFIX + "inputs:*")] == []


def test_beyond_the_limit_a_submission_is_refused_and_says_why_and_a_replay_is_not(bounded: JobQueue) -> None:
    first = bounded.submit(RESOLVED, idempotency_key="key").job.id
    bounded.submit(RESOLVED, files=BroughtFiles(uploads_bytes=90_000))
    with pytest.raises(QueueFullError, match=r"the files of the jobs .* as they may, 100000"):
        bounded.submit(RESOLVED, files=BroughtFiles(uploads_bytes=10_001))
    long = resolved("x" * 90_000)
    bounded.submit(long)
    with pytest.raises(
        QueueFullError, match=r"the jobs that are kept take as many bytes as they may, 100000"
    ):
        bounded.submit(long)
    assert bounded.submit(RESOLVED, idempotency_key="key").job.id == first
    assert bounded.submit(RESOLVED).job.status is JobStatus.QUEUED


def test_the_oldest_ended_jobs_go_until_there_is_room_again(
    bounded: JobQueue, redis: Redis, artifacts: ArtifactStore, retention: Retention
) -> None:
    waiting = bounded.submit(RESOLVED).job.id
    ids = [canceled(bounded, files=BroughtFiles(inputs=(ONE,), inputs_bytes=20_000)) for _ in range(4)]
    for job_id in ids:
        artifacts.put(input_key(job_id, ONE), b"picture")
    with pytest.raises(QueueFullError):
        bounded.submit(RESOLVED, files=BroughtFiles(uploads_bytes=20_001))
    assert retention.sweep() == 1
    assert {job.id for job in bounded.list().data} == {waiting, *ids[1:]}
    assert artifacts.keys(ids[0]) == []
    assert kept_file_bytes(redis) <= LIMIT * 3 // 4
    assert retention.sweep() == 0
    assert bounded.submit(RESOLVED, files=BroughtFiles(uploads_bytes=20_001)).job.status is JobStatus.QUEUED


def test_jobs_that_have_not_ended_are_never_deleted_to_make_room(
    bounded: JobQueue, retention: Retention, leases: Leases
) -> None:
    running = bounded.submit(RESOLVED, files=BroughtFiles(uploads_bytes=90_000)).job.id
    claimed(leases, running)
    assert retention.sweep() == 0
    assert bounded.get(running).status is JobStatus.RUNNING


def test_a_sweep_that_has_more_to_delete_says_that_it_dealt_with_a_portion(
    redis: Redis, artifacts: ArtifactStore
) -> None:
    queue = JobQueue(redis, max_queued=1000)
    for _ in range(PORTION + 50):
        canceled(queue)
    retention = Retention(redis, JobFiles(artifacts), keep_s=0, max_kept_bytes=20 * BESIDE)
    assert retention.sweep() == PORTION
    assert 30 < retention.sweep() <= 50
    assert kept_bytes(redis) <= 15 * BESIDE


def test_jobs_of_a_version_that_counted_nothing_are_counted_once_and_deleted_exactly(
    bounded: JobQueue, redis: Redis, retention: Retention, artifacts: ArtifactStore, leases: Leases
) -> None:
    old = [canceled(bounded) for _ in range(40)]
    still_waiting = bounded.submit(RESOLVED).job.id
    for job_id in (*old, still_waiting):
        redis.hdel(f"{PREFIX}job:{job_id}", "bytes", "record_bytes")
    redis.delete(PREFIX + "kept_bytes")
    bounded.delete(old[0])
    assert kept_bytes(redis) == 0
    retention.sweep()
    assert LIMIT * 0.6 < kept_bytes(redis) <= LIMIT * 3 // 4
    left = [job.id for job in bounded.list(limit=100).data]
    assert left == [still_waiting, *[job_id for job_id in reversed(old) if job_id in left]]
    bounded.cancel(still_waiting)
    for job_id in left:
        bounded.delete(job_id)
    assert kept_bytes(redis) == 0


def test_a_server_that_is_full_can_be_made_room_in(bounded: JobQueue, redis: Redis) -> None:
    ended, waiting = canceled(bounded), bounded.submit(RESOLVED).job.id
    redis.config_set("maxmemory", "1mb")
    try:
        bounded.delete(ended)
        bounded.delete(waiting)
    finally:
        redis.config_set("maxmemory", "0")
    assert kept_bytes(redis) == 0
    assert bounded.list().data == ()


def test_a_page_is_short_where_the_jobs_are_long(
    queue: JobQueue, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_pages, "PAGE_BYTES", 30_000)
    ids = [
        queue.submit(resolved("x" * length)).job.id for length in (10_000, 10_000, 10_000, 100_000, 10, 10)
    ]
    redis.hdel(f"{PREFIX}job:{ids[1]}", "record_bytes")  # as an older version stored it
    pages, cursor = [], None
    while True:
        page = queue.list(limit=4, cursor=cursor)
        pages.append([ids.index(job.id) for job in page.data])
        cursor = page.next_cursor
        if cursor is None:
            break
    assert pages == [[5, 4], [3], [2, 1], [0]]


def test_the_files_of_a_job_do_not_make_its_page_short(queue: JobQueue) -> None:
    for _ in range(5):
        queue.submit(RESOLVED, files=BroughtFiles(inputs=(ONE,), inputs_bytes=64 << 20))
    assert len(queue.list().data) == 5
    assert len(json.dumps([job.model_dump(mode="json") for job in queue.list().data])) < 20_000
