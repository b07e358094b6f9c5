"""A client's watch over one job: it reads the job after each event, and ends when the client hangs up."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.services import services_of
from jobs.errors import JobCanceledError, LodestarError, QueueUnavailableError, StoppingError
from jobs.queue.queue import JobQueue
from jobs.status.job import Job

HANG_UP_S = 0.2  # delay at most until it notices that a client has left
LOOK_S = 30.0  # limits the wait if a wake-up is lost
AWAY_LOOK_S = 1.0
PATIENCE_S = 60.0  # Redis may restart during the minutes that a job takes

OnHangUp = Literal["cancel", "leave"]


class Watch:
    """Sleeps until a job has an event, without holding a thread or a connection.

    Attributes:
        job: as it was last seen.
    """

    def __init__(self, request: Request, job: Job, bell: asyncio.Event, on_hang_up: OnHangUp) -> None:
        self.job = job
        self._request = request
        self._services = services_of(request)
        self._bell = bell
        self._on_hang_up = on_hang_up
        self._away_since: float | None = None

    async def next(self, timeout_s: float) -> Job:
        """The job after its next event, or after ``timeout_s`` seconds or somewhat earlier.

        Raises:
            JobCanceledError: the client has hung up.
            StoppingError: the server stops.
            UnknownJobError: the job was deleted.
            QueueUnavailableError: Redis has been away for a minute.
        """
        await self._sleep(min(timeout_s, LOOK_S if self._away_since is None else AWAY_LOOK_S))
        self._bell.clear()
        return await self.look()

    async def look(self) -> Job:
        """The job now; while Redis is away, as last read.

        Raises:
            UnknownJobError, QueueUnavailableError: as for ``next``.
        """
        try:
            self.job = await run_in_threadpool(self._services.queue.get, self.job.id)
            self._away_since = None
        except QueueUnavailableError:
            now = time.monotonic()
            self._away_since = self._away_since or now
            if now - self._away_since > PATIENCE_S:
                raise
        return self.job

    async def _sleep(self, timeout_s: float) -> None:
        ends = time.monotonic() + timeout_s
        await self._require_listener()
        while not self._bell.is_set() and (left_s := ends - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, HANG_UP_S)):
                    await self._bell.wait()
            await self._require_listener()

    async def _require_listener(self) -> None:
        is_gone = await self._request.is_disconnected()
        if not is_gone and not self._services.stopping.is_set():
            return
        if self._on_hang_up == "cancel":
            await cancel_quietly(self._services.queue, self.job.id)
        if is_gone:
            raise JobCanceledError("the client hung up")
        raise StoppingError("the server stopped before the job ended")


@contextmanager
def watching(request: Request, job: Job, types: frozenset[str], *, on_hang_up: OnHangUp) -> Iterator[Watch]:
    """A watch that wakes at these types of events.

    Args:
        request: of the client.
        job: as it was last seen; an event before the watch began wakes nobody, so ``look`` first.
        types: of events.
        on_hang_up: whether the job is canceled or goes on when the client hangs up or the server stops.
    """
    with services_of(request).wakeups.listening(job.id, types) as bell:
        yield Watch(request, job, bell, on_hang_up)


async def cancel_quietly(queue: JobQueue, job_id: str) -> None:
    """Cancel a job, unless it has ended, is gone, or Redis is away."""
    with suppress(LodestarError):
        await run_in_threadpool(queue.cancel, job_id)
