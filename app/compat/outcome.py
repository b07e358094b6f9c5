"""Waiting for a job on behalf of a client that knows no jobs: its one call ends with the pictures or with an error."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.services import Services, services_of
from app.store_access import reaching_the_store
from app.waiting import wait_for_end
from jobs.errors import JobFailedError, LodestarError, QueueUnavailableError
from jobs.queue import JobQueue
from jobs.state import Job, JobStatus

# Redis may restart during the minutes that a job takes.
PATIENCE_S = 60.0
_LOOK_S = 60.0


class JobCanceledError(LodestarError):
    """The job that a call waited for was canceled, or its client has hung up."""

    type = "job_canceled"


class StoppingError(LodestarError):
    """The server stops, and can wait for the job no longer."""

    type = "stopping"


async def end_of(request: Request, job: Job, *, comes_back: bool) -> Job:
    """The job once it has ended; see ``look_at``."""
    while not job.status.is_terminal:
        job = await look_at(request, job, _LOOK_S, comes_back=comes_back)
    return job


async def look_at(request: Request, job: Job, wait_s: float, *, comes_back: bool) -> Job:
    """The job once it has ended, or as it stands after ``wait_s`` seconds.

    A client that hangs up takes its job with it, for there is no other way to the pictures; unless it
    ``comes_back``, that is, an idempotency key of its own leads back to the job. No thread is held meanwhile.

    Raises:
        JobCanceledError: the client has hung up.
        StoppingError: the server stops.
        UnknownJobError: somebody has deleted the job.
        QueueUnavailableError: Redis has been away for a minute.
    """
    services, over = services_of(request), nobody_waits(request)
    job = await wait_for_end(services.queue, job, wait_s, over)
    if job.status.is_terminal:
        return job
    if await over():
        if not comes_back:
            await give_up(services.queue, job.id)
        if services.stopping.is_set():
            raise StoppingError("the server stopped before the pictures were finished")
        raise JobCanceledError("the client hung up")
    return await _get_patiently(services.queue, job.id)


def nobody_waits(request: Request) -> Callable[[], Awaitable[bool]]:
    """Tells whether the client of a request has hung up, or the server is about to stop."""
    stopping = services_of(request).stopping

    async def is_over() -> bool:
        return stopping.is_set() or await request.is_disconnected()

    return is_over


async def give_up(queue: JobQueue, job_id: str) -> None:
    """Cancel a job that nobody waits for any more; one that has ended is left as it is."""
    with suppress(LodestarError):
        await run_in_threadpool(queue.cancel, job_id)


def require_success(job: Job) -> Job:
    """The job, which has ended.

    Raises:
        JobFailedError: it has failed.
        JobCanceledError: it was canceled.
    """
    if job.status is JobStatus.CANCELED:
        raise JobCanceledError(f"job {job.id} was canceled before its pictures were finished")
    if job.error is not None:
        raise JobFailedError(f"job {job.id} has failed ({job.error.type}): {job.error.message}")
    return job


def stored_pictures(services: Services, job: Job) -> list[bytes]:
    """The PNG files of a job that has succeeded.

    Raises:
        UnknownJobError, UnknownImageError: they were deleted.
        ArtifactsUnavailableError: their store is away.
    """
    with reaching_the_store():
        return [services.artifacts.get(stored.key) for stored in services.queue.images(job.id)]


async def _get_patiently(queue: JobQueue, job_id: str) -> Job:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await run_in_threadpool(queue.get, job_id)
        except QueueUnavailableError:
            if time.monotonic() >= end:
                raise
            await asyncio.sleep(1)
