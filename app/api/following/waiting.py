"""``Prefer: wait=N`` of RFC 7240: hold an answer back until the job has ended, for N seconds at most."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.services import services_of
from jobs.errors import LodestarError
from jobs.queue.queue import JobQueue
from jobs.status.job import Job

MAX_WAIT_S = 60
_FIRST_PAUSE_S = 0.05
_LAST_PAUSE_S = 0.5
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?=[,;]|$)", re.IGNORECASE)


def preferred_wait_s(prefer: str | None) -> int | None:
    """Seconds that a Prefer header asks to wait, 60 at most; None if it does not ask to."""
    found = _WAIT.search(prefer or "")
    return min(int(found[1]), MAX_WAIT_S) if found else None


async def wait_for_end(
    queue: JobQueue, job: Job, wait_s: float, given_up: Callable[[], Awaitable[bool]]
) -> Job:
    """The job once it has ended, or as it stands after ``wait_s`` seconds or when the wait is given up.

    No thread is held during the wait.
    """
    deadline = time.monotonic() + wait_s
    pause_s = _FIRST_PAUSE_S
    while not job.status.is_terminal and (left_s := deadline - time.monotonic()) > 0 and not await given_up():
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, _LAST_PAUSE_S)
        try:
            job = await run_in_threadpool(queue.get, job.id)
        except LodestarError:
            # Deleted meanwhile, or Redis went away. Its submission was accepted all the same: say so.
            return job
    return job


def nobody_waits(request: Request) -> Callable[[], Awaitable[bool]]:
    """Tells whether the client of a request has hung up, or the server is about to stop."""
    stopping = services_of(request).stopping

    async def is_over() -> bool:
        return stopping.is_set() or await request.is_disconnected()

    return is_over
