"""Looking at a job on behalf of a client that is told of it meanwhile, and fetching its pictures."""

import asyncio
import time
from contextlib import suppress

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.following.outcome import PATIENCE_S
from app.api.following.waiting import nobody_waits, wait_for_end
from app.api.pictures.store_access import reaching_the_store
from app.api.services import Services, services_of
from jobs.errors import JobCanceledError, LodestarError, QueueUnavailableError, StoppingError
from jobs.queue.queue import JobQueue
from jobs.status.job import Job


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


async def give_up(queue: JobQueue, job_id: str) -> None:
    """Cancel a job that nobody waits for any more; one that has ended is left as it is."""
    with suppress(LodestarError):
        await run_in_threadpool(queue.cancel, job_id)


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
