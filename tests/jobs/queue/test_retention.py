"""Forgetting what ended long ago, and collecting what nobody owns."""

from pathlib import Path

import pytest
from redis import Redis

from jobs.db.scripts import PREFIX
from jobs.errors import JobFailedError, UnknownJobError
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.retention import PORTION, Retention
from jobs.status.job import JobStatus
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import JobFiles
from tests.jobs.samples import RESOLVED, claimed, pictures_of


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


@pytest.fixture
def retention(redis: Redis, artifacts: ArtifactStore) -> Retention:
    return Retention(redis, JobFiles(artifacts), keep_s=3600)


def finish(queue: JobQueue, leases: Leases, artifacts: ArtifactStore) -> str:
    """A job that has succeeded, with its picture."""
    job_id = queue.submit(RESOLVED).job.id
    lease = claimed(leases, job_id)
    artifacts.put(f"{lease.artifact_prefix}/0.png", b"picture")
    leases.succeed(lease, pictures_of(lease))
    return job_id


def age(redis: Redis, index: str, *members: str) -> None:
    """Let what an index holds become old."""
    for member in members:
        redis.zadd(PREFIX + index, {member: 1}, xx=True)


def test_a_job_that_ended_long_ago_goes_with_its_pictures(
    queue: JobQueue, leases: Leases, redis: Redis, artifacts: ArtifactStore, retention: Retention
) -> None:
    old, recent = (finish(queue, leases, artifacts) for _ in range(2))
    age(redis, "finished", old)
    assert retention.sweep() == 1
    with pytest.raises(UnknownJobError):
        queue.get(old)
    assert artifacts.keys(old) == []
    assert queue.get(recent).status is JobStatus.SUCCEEDED
    assert len(artifacts.keys(recent)) == 1
    assert retention.sweep() == 0


def test_what_other_folders_hold_of_a_job_goes_with_it(
    queue: JobQueue, leases: Leases, redis: Redis, artifacts: ArtifactStore
) -> None:
    old, recent = (finish(queue, leases, artifacts) for _ in range(2))
    for job_id in (old, recent):
        artifacts.put(f"search/{job_id}/1-aa/segment.json", b"{}")
    age(redis, "finished", old)
    assert Retention(redis, JobFiles(artifacts, beside=["search"]), keep_s=3600).sweep() == 1
    assert artifacts.keys("search") == [f"search/{recent}/1-aa/segment.json"]


def test_every_end_counts_and_no_unfinished_job_does(
    queue: JobQueue, leases: Leases, redis: Redis, artifacts: ArtifactStore, retention: Retention
) -> None:
    done = finish(queue, leases, artifacts)
    failed, canceled, running, waiting = (queue.submit(RESOLVED).job.id for _ in range(4))
    leases.fail(claimed(leases, failed), JobFailedError("no luck"))
    queue.cancel(canceled)
    claimed(leases, running)
    assert set(redis.zrange(PREFIX + "finished", 0, -1)) == {done, failed, canceled}
    age(redis, "finished", done, failed, canceled, running, waiting)
    assert retention.sweep() == 3
    assert {job.id for job in queue.list().data} == {running, waiting}


def test_nothing_expires_when_everything_is_to_be_kept(
    queue: JobQueue, leases: Leases, redis: Redis, artifacts: ArtifactStore
) -> None:
    job_id = finish(queue, leases, artifacts)
    age(redis, "finished", job_id)
    assert Retention(redis, JobFiles(artifacts), keep_s=0).sweep() == 0
    assert queue.get(job_id).status is JobStatus.SUCCEEDED


def test_one_sweep_deletes_a_portion(
    queue: JobQueue, redis: Redis, artifacts: ArtifactStore, retention: Retention
) -> None:
    big = JobQueue(redis, max_queued=1000)
    for _ in range(PORTION + 5):
        big.cancel(big.submit(RESOLVED).job.id)
    age(redis, "finished", *(str(job_id) for job_id in redis.zrange(PREFIX + "finished", 0, -1)))
    assert (retention.sweep(), retention.sweep(), retention.sweep()) == (PORTION, 5, 0)


def test_what_a_killed_worker_had_stored_is_collected_and_the_result_is_not(
    queue: JobQueue,
    doomed: Leases,
    leases: Leases,
    reaper: Reaper,
    redis: Redis,
    artifacts: ArtifactStore,
    retention: Retention,
) -> None:
    job_id = queue.submit(RESOLVED).job.id
    dead = claimed(doomed, job_id)
    artifacts.put(f"{dead.artifact_prefix}/0.png", b"never committed")
    reaper.sweep()
    lease = claimed(leases, job_id)
    artifacts.put(f"{lease.artifact_prefix}/0.png", b"picture")
    leases.succeed(lease, pictures_of(lease))
    assert retention.sweep() == 0  # its worker may only look dead, and go on storing for a while
    age(redis, "orphans", dead.artifact_prefix)
    assert retention.sweep() == 1
    assert artifacts.keys(job_id) == [f"{lease.artifact_prefix}/0.png"]
    assert redis.zcard(PREFIX + "orphans") == 0


def test_what_is_stored_after_its_job_was_deleted_is_collected(
    queue: JobQueue, leases: Leases, redis: Redis, artifacts: ArtifactStore, retention: Retention
) -> None:
    job_id = queue.submit(RESOLVED).job.id
    lease = claimed(leases, job_id)
    queue.delete(job_id)
    artifacts.put(f"{lease.artifact_prefix}/0.png", b"too late")
    age(redis, "orphans", job_id)
    retention.sweep()
    assert artifacts.keys(job_id) == []


def test_a_store_that_fails_keeps_the_job_until_it_works_again(
    queue: JobQueue, leases: Leases, redis: Redis, artifacts: ArtifactStore, tmp_path: Path
) -> None:
    ids = [finish(queue, leases, artifacts) for _ in range(5)]
    age(redis, "finished", *ids)
    away = Retention(redis, JobFiles(ArtifactStore("s3://bucket/prefix")), keep_s=3600)
    assert away.sweep() == 0
    assert [queue.get(job_id).status for job_id in ids] == [JobStatus.SUCCEEDED] * 5
    assert Retention(redis, JobFiles(artifacts), keep_s=3600).sweep() == 5
