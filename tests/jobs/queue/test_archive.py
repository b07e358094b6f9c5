"""Records that move beside their pictures, and what finds them still."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from redis import Redis

from jobs.db import keys
from jobs.db.connection import connect_async
from jobs.db.scripts import PREFIX
from jobs.errors import UnknownJobError
from jobs.events.event_log import EventLog
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.retention import Retention
from jobs.requests.request import GenerateRequest
from jobs.status.job import Job, JobStatus
from jobs.status.view import View
from jobs.storage.archive import DamagedArchiveError, JobArchive
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import BroughtFiles, JobFiles
from tests.jobs.samples import ORIGINAL, RESOLVED, claimed, pictures_of

LABELED = RESOLVED.model_copy(update={"labels": ("two words", "one")})


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


@pytest.fixture
def archived(redis: Redis, artifacts: ArtifactStore) -> JobQueue:
    """The queue as the API has it."""
    return JobQueue(redis, max_queued=100, archive=JobArchive(artifacts))


@pytest.fixture
def retention(redis: Redis, artifacts: ArtifactStore) -> Retention:
    return Retention(
        redis, JobFiles(artifacts), keep_s=10**9, archive=JobArchive(artifacts), archive_after_s=3600
    )


def end(redis: Redis, queue: JobQueue, leases: Leases, artifacts: ArtifactStore, *, hours: float) -> str:
    """A job that has succeeded so many hours ago."""
    files = BroughtFiles(inputs=("ab" * 32,), inputs_bytes=700)
    job_id = queue.submit(LABELED, idempotency_key="once", original=ORIGINAL, files=files).job.id
    lease = claimed(leases, job_id)
    leases.note(lease, "a note")
    artifacts.put(f"{lease.artifact_prefix}/0.png", b"picture")
    leases.succeed(lease, pictures_of(lease))
    grow_old(redis, job_id, hours)
    return job_id


def grow_old(redis: Redis, job_id: str, hours: float) -> None:
    ended = int(redis.time()[0] * 1e6 - hours * 3.6e9)
    redis.hset(keys.job(job_id), "finished_us", ended)
    redis.zadd(keys.FINISHED, {job_id: ended})


def test_an_archived_job_is_read_as_before_by_every_way(
    redis: Redis,
    redis_url: str,
    archived: JobQueue,
    leases: Leases,
    artifacts: ArtifactStore,
    retention: Retention,
) -> None:
    job_id = end(redis, archived, leases, artifacts, hours=1.5)
    before, images = archived.get(job_id), archived.images(job_id)
    weight = redis.memory_usage(keys.job(job_id)) or 0
    assert retention.sweep() == 1
    assert retention.sweep() == 0
    assert "request" not in redis.hkeys(keys.job(job_id))
    assert (redis.memory_usage(keys.job(job_id)) or 0) < weight / 2
    assert archived.get(job_id) == before
    assert archived.images(job_id) == images
    assert archived.list().data == archived.list(label="two words").data == (before,)
    assert archived.list(status=JobStatus.SUCCEEDED).data == (before,)
    assert archived.counts()[JobStatus.SUCCEEDED] == 1
    assert archived.holders("ab" * 32) == (job_id,)
    replayed = archived.submit(LABELED, idempotency_key="once", original=ORIGINAL)
    assert (replayed.replayed, replayed.job) == (True, before)

    async def look() -> Job:
        client = connect_async(redis_url, max_connections=1)
        try:
            return (await EventLog(client, archive=JobArchive(artifacts)).look(job_id))[0]
        finally:
            await client.aclose()

    assert asyncio.run(look()) == before


def test_only_what_ended_long_enough_ago_is_archived(
    redis: Redis, archived: JobQueue, leases: Leases, artifacts: ArtifactStore, retention: Retention
) -> None:
    waiting = archived.submit(RESOLVED).job.id
    recent = end(redis, archived, leases, artifacts, hours=0.9)
    retention.sweep()
    assert [key for job_id in (waiting, recent) for key in artifacts.keys(job_id) if "json" in key] == []


def test_a_deleted_one_goes_whole(
    redis: Redis, archived: JobQueue, leases: Leases, artifacts: ArtifactStore, retention: Retention
) -> None:
    job_id = end(redis, archived, leases, artifacts, hours=2)
    retention.sweep()
    JobFiles(artifacts).delete_before(job_id, archived.delete)
    assert artifacts.keys(job_id) == []
    for key in ("kept_bytes", "kept_file_bytes"):
        assert int(str(redis.get(PREFIX + key))) == 0
    for key in ("label_of::one", "label_of::two words", "inputs:" + "ab" * 32, "jobs", "finished"):
        assert redis.exists(PREFIX + key) == 0
    with pytest.raises(UnknownJobError):
        archived.get(job_id)


def test_another_tenant_s_does_not_exist(
    redis: Redis, archived: JobQueue, leases: Leases, artifacts: ArtifactStore, retention: Retention
) -> None:
    job_id = end(redis, archived, leases, artifacts, hours=2)
    retention.sweep()
    studio = archived.seen_by(View("studio", is_whole=False))
    with pytest.raises(UnknownJobError):
        studio.get(job_id)
    assert studio.list().data == ()


def test_a_job_whose_webhook_message_is_owed_stays_whole(
    redis: Redis, archived: JobQueue, leases: Leases, artifacts: ArtifactStore, retention: Retention
) -> None:
    asked = GenerateRequest.model_validate({"prompt": "a red apple", "webhook": "https://example.com/hook"})
    job_id = archived.submit(RESOLVED, original=asked).job.id
    lease = claimed(leases, job_id)
    leases.succeed(lease, pictures_of(lease))
    grow_old(redis, job_id, 2)
    retention.sweep()
    assert "request" in redis.hkeys(keys.job(job_id))


def test_a_store_that_is_away_or_a_file_that_is_gone_is_said(
    redis: Redis,
    archived: JobQueue,
    leases: Leases,
    artifacts: ArtifactStore,
    retention: Retention,
    tmp_path: Path,
) -> None:
    job_id = end(redis, archived, leases, artifacts, hours=2)
    retention.sweep()
    file = tmp_path / "artifacts" / job_id / "job.json"
    for damaged in ("{", "[]", "{}", json.dumps({"record": 1})[:-1]):
        file.write_text(damaged)
        with pytest.raises(DamagedArchiveError, match=job_id):
            archived.get(job_id)
        other = archived.submit(RESOLVED).job.id
        assert [job.id for job in archived.list().data] == [other]  # it hides no other
        assert archived.list(text="no such prompt").data == ()
        archived.delete(other)
    shutil.rmtree(tmp_path / "artifacts")
    with pytest.raises(UnknownJobError):
        archived.get(job_id)
    assert archived.list().data == ()


def test_a_store_that_fails_archives_later(
    redis: Redis,
    archived: JobQueue,
    leases: Leases,
    artifacts: ArtifactStore,
    retention: Retention,
    tmp_path: Path,
) -> None:
    job_id = end(redis, archived, leases, artifacts, hours=2)
    folder, aside = tmp_path / "artifacts", tmp_path / "aside"
    folder.rename(aside)
    folder.write_text("no folder")
    assert retention.sweep() == 0
    assert archived.get(job_id).status is JobStatus.SUCCEEDED
    folder.unlink()
    aside.rename(folder)
    assert retention.sweep() == 1
    assert archived.get(job_id).status is JobStatus.SUCCEEDED
