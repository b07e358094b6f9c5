"""A job as the source of a stream of server-sent events."""

import time
from collections.abc import AsyncIterator

from fastapi import Request

from app.api.following.event_stream import HEARTBEAT_S
from app.api.following.watch import OnHangUp, watching
from jobs.status.job import Job

UNBUFFERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


async def looks(
    request: Request, job: Job, types: frozenset[str], *, on_hang_up: OnHangUp
) -> AsyncIterator[Job | None]:
    """The job after each event of these types, up to its end; None when a sign of life is due.

    Raises:
        LodestarError: as for ``Watch.next``.
    """
    said_at = time.monotonic()
    with watching(request, job, types, on_hang_up=on_hang_up) as watch:
        job = await watch.look()
        yield job
        while not job.status.is_terminal:
            job = await watch.next(said_at + HEARTBEAT_S - time.monotonic())
            if time.monotonic() - said_at >= HEARTBEAT_S:
                said_at = time.monotonic()
                yield None
            yield job
