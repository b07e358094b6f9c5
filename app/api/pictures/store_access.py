"""Failures of the artifact store as errors of the API, and the removal of a refused submission's files."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from starlette.concurrency import run_in_threadpool

from jobs.errors import ArtifactsUnavailableError, LodestarError, QueueUnavailableError
from jobs.queue.queue import JobQueue
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import JobFiles


@contextmanager
def reaching_the_store() -> Iterator[None]:
    """Turn the loss of the artifact store, or its refusal, into ``ArtifactsUnavailableError``."""
    try:
        yield
    except OSError as error:
        raise ArtifactsUnavailableError("the artifact store cannot be reached, or refuses") from error


def delete_with_files(queue: JobQueue, files: JobFiles, job_id: str) -> None:
    """Delete a job and its pictures.

    Raises:
        UnknownJobError: there is none of this id.
        ArtifactsUnavailableError: the store cannot be reached.
    """
    job = queue.get(job_id)
    with reaching_the_store():
        files.delete_before(job.id, queue.delete, may_grow=not job.status.is_terminal)


@asynccontextmanager
async def forgetting_files(artifacts: ArtifactStore, job_id: str) -> AsyncIterator[None]:
    """Remove a job's files if the block within raises, since the job is then refused.

    If Redis was lost, the job may have been accepted all the same; if not, the retention sweep collects its files.
    """
    try:
        yield
    except QueueUnavailableError:
        raise
    except LodestarError:
        await run_in_threadpool(forget_files, artifacts, job_id)
        raise


def forget_files(artifacts: ArtifactStore, job_id: str) -> None:
    """Remove the files of a refused job. If the store is away, the retention sweep does it later."""
    with suppress(OSError):
        artifacts.delete(job_id)
