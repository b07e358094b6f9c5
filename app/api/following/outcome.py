"""Waiting for a job on behalf of a client whose one call ends with the picture."""

import asyncio
import time
from contextlib import suppress

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.services import Services, services_of
from jobs.errors import (
    JobCanceledError,
    JobFailedError,
    LodestarError,
    QueueUnavailableError,
    StoppingError,
)
from jobs.status.job import Job, JobStatus

HANG_UP_S = 0.2  # how soon it is noticed that a client has left
LOOK_S = 1.0
PATIENCE_S = 60.0  # Redis may restart during the minutes that a job takes


async def end_of(request: Request, job: Job, *, comes_back: bool) -> Job:
    """The job once it has ended. No thread is held meanwhile.

    A client that hangs up takes its job with it, for it has no other way to the picture; unless it ``comes_back``, that
    is, an idempotency key leads it to the job again.

    Raises:
        JobCanceledError: the client has hung up.
        StoppingError: the server stops.
        UnknownJobError: somebody has deleted the job.
        QueueUnavailableError: Redis has been away for a minute.
    """
    services = services_of(request)
    heard_of = time.monotonic()
    with services.wakeups.listening(job.id) as bell:
        while not job.status.is_terminal:
            await _something(request, services, bell, job, comes_back=comes_back)
            try:
                job = await run_in_threadpool(services.queue.get, job.id)
                heard_of = time.monotonic()
            except QueueUnavailableError:
                if time.monotonic() - heard_of > PATIENCE_S:
                    raise
    return job


def require_success(job: Job) -> Job:
    """The job, which has ended.

    Raises:
        JobFailedError: it has failed.
        JobCanceledError: it was canceled.
    """
    if job.status is JobStatus.CANCELED:
        raise JobCanceledError(f"job {job.id} was canceled before its picture was finished")
    if job.error is not None:
        raise JobFailedError(f"job {job.id} has failed ({job.error.type}): {job.error.message}")
    return job


async def _something(
    request: Request, services: Services, bell: asyncio.Event, job: Job, *, comes_back: bool
) -> None:
    """Wait until something may have happened to the job."""
    look_at = time.monotonic() + LOOK_S
    while not bell.is_set() and time.monotonic() < look_at:
        is_gone = await request.is_disconnected()
        if is_gone or services.stopping.is_set():
            if not comes_back:
                with suppress(LodestarError):
                    await run_in_threadpool(services.queue.cancel, job.id)
            if is_gone:
                raise JobCanceledError("the client hung up")
            raise StoppingError("the server stopped before the picture was finished")
        with suppress(TimeoutError):
            async with asyncio.timeout(HANG_UP_S):
                await bell.wait()
    bell.clear()
