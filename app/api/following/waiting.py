"""Waiting for a job's end on behalf of a client."""

import math
import time

from fastapi import Request

from app.api.following.watch import OnHangUp, watching
from jobs.errors import ContentBlockedError, InvalidRequestError, JobCanceledError, JobFailedError
from jobs.events.events import FINAL_TYPES
from jobs.status.job import Job, JobStatus


async def await_end(request: Request, job: Job, *, timeout_s: float = math.inf, on_hang_up: OnHangUp) -> Job:
    """The ended job, or the job after ``timeout_s`` seconds.

    It asks Redis at the job's end, and not before.

    Args:
        request: of the client.
        job: as it was submitted.
        timeout_s: longest wait.
        on_hang_up: ``cancel`` the job when the client hangs up or the server stops, because no other way leads the
            client to it; else ``leave`` it.

    Raises:
        JobCanceledError: the client has hung up.
        StoppingError: the server stops.
        UnknownJobError: the job was deleted.
        QueueUnavailableError: Redis has been away for a minute.
    """
    ends = time.monotonic() + timeout_s
    if job.status.is_terminal or timeout_s <= 0:
        return job
    with watching(request, job, FINAL_TYPES, on_hang_up=on_hang_up) as watch:
        job = await watch.look()
        while not job.status.is_terminal and (left_s := ends - time.monotonic()) > 0:
            job = await watch.next(left_s)
    return job


def hang_up_policy(idempotency_key: str | None) -> OnHangUp:
    """The policy when the client hangs up: with an idempotency key, the job goes on and the client can return."""
    return "cancel" if idempotency_key is None else "leave"


def require_success(job: Job) -> Job:
    """The job, which has ended.

    Raises:
        JobFailedError: it has failed.
        ContentBlockedError: so, because every picture was withheld.
        InvalidRequestError: so, because of a field whose limit only the worker knows, from the model's files.
        JobCanceledError: it was canceled.
    """
    if job.status is JobStatus.CANCELED:
        raise JobCanceledError(f"job {job.id} was canceled before its picture was finished")
    if job.error is not None and job.error.type == ContentBlockedError.type:
        raise ContentBlockedError(job.error.message)
    if job.error is not None and job.error.type == InvalidRequestError.type:
        raise InvalidRequestError(job.error.message)
    if job.error is not None:
        raise JobFailedError(f"job {job.id} has failed ({job.error.type}): {job.error.message}")
    return job
