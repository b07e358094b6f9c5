"""Server-sent events of one reader, from its first event to the job's last."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress

from fastapi import Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from app.api.services import Services
from jobs.errors import QueueUnavailableError, UnknownJobError
from jobs.events.advances import Advance
from jobs.events.event_log import START, EventsMissedError
from jobs.events.events import DoneEvent, SnapshotEvent
from jobs.status.job import Job, JobStatus
from jobs.wire import Wire

HEARTBEAT_S = 15.0  # proxies close silent connections, the strictest of the common ones after 30 s
OUTAGE_PAUSE_S = 1.0
ENDED_KNOWN = 1000  # jobs whose end was sent: their progress comes by another way, and may come late
RETRY_MS = 2000  # a browser's pause before it connects again
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # or nginx would hold events back
    "X-Content-Type-Options": "nosniff",
}


class QueueSnapshotEvent(Wire):
    """The queue when the stream of all jobs began, or began anew."""

    type: str = "snapshot"
    jobs: dict[JobStatus, int] = Field(description="Number of jobs of each status.")
    missed: bool = Field(
        False, description="Whether events were missed before this, since they are no longer kept."
    )


async def open_stream(services: Services, job_id: str | None, seen: str | None) -> Response:
    """The stream of events of a job, or of all jobs.

    Args:
        services: of the app.
        job_id: None follows all jobs, without end.
        seen: id of the reader's last event; the stream goes on after it.

    Raises:
        UnknownJobError: there is no such job.
        QueueUnavailableError: Redis is away.
    """
    reader = _Reader(services, job_id)
    if seen is not None and await reader.has_nothing_after(seen):
        # The one answer that keeps a browser's EventSource from connecting again.
        return Response(status_code=204)
    return _EventStream(services, reader, await reader.begin(seen))


class _EventStream(StreamingResponse):
    """A stream that asks Redis nothing between events, and holds at most one batch for a slow reader."""

    def __init__(self, services: Services, reader: "_Reader", first: bytes) -> None:
        super().__init__(self._body(first), headers=_HEADERS, media_type="text/event-stream")
        self._services = services
        self._reader = reader
        self._bell = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with (
            self._services.wakeups.listening(
                self._reader.job_id, advances=self._reader.advances
            ) as self._bell,
            self._services.metrics.event_streams.track_inprogress(),
        ):
            await super().__call__(scope, receive, send)

    async def _body(self, first: bytes) -> AsyncIterator[bytes]:
        yield f"retry: {RETRY_MS}\n\n".encode() + first
        with suppress(UnknownJobError):  # deleted so long ago that its last event is gone too
            while not self._reader.has_ended and not self._services.stopping.is_set():
                self._bell.clear()
                try:
                    yield await self._reader.more() or await self._silence()
                except QueueUnavailableError:
                    await asyncio.sleep(OUTAGE_PAUSE_S)
                    yield KEEPALIVE_COMMENT

    async def _silence(self) -> bytes:
        """Wait for an event; the bytes to send: a comment if none came in time."""
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await self._bell.wait()
        except TimeoutError:
            return KEEPALIVE_COMMENT
        return b""


class _Reader:
    """A reader's position in the events. It encodes every batch as the bytes to send.

    Attributes:
        job_id: of the job that is followed; None for all.
        has_ended: whether nothing is to come.
        advances: of a reader of all jobs: the latest progress of each that was not sent yet. It has no id to resume at:
            who comes back gets the next.
    """

    def __init__(self, services: Services, job_id: str | None) -> None:
        self.job_id = job_id
        self.has_ended = False
        self.advances: dict[str, Advance] = {}
        self._ended: deque[str] = deque(maxlen=ENDED_KNOWN)
        self._services = services
        self._log = services.events
        self._seen = START

    async def has_nothing_after(self, seen: str) -> bool:
        """Whether the job has ended and the reader has its final event."""
        if self.job_id is None:
            return False
        job, last = await self._log.look(self.job_id)
        return job.status.is_terminal and seen == _id_of_end(job, last)

    async def begin(self, seen: str | None) -> bytes:
        """The first batch: a snapshot, or the events since the reader's last one."""
        if seen is None:
            return await self._snapshot(missed=False)
        self._seen = seen
        return await self.more()

    async def more(self) -> bytes:
        """The next batch; may be empty."""
        try:
            entries = await self._log.after(self.job_id, self._seen)
        except EventsMissedError:
            return await self._snapshot(missed=True)
        sent = []
        for entry in entries:
            self._seen = entry.id
            if entry.event is not None:
                sent.append(_encode(entry.event, entry.event.type, entry.id))
                if entry.event.is_final:
                    self._ended.append(entry.event.job_id)
                    self.has_ended = self.job_id is not None
                    if self.has_ended:
                        break
        return b"".join(sent + self._advanced())

    def _advanced(self) -> list[bytes]:
        """The progress of jobs that came beside the events; none of a job whose end was sent."""
        advances, ended = dict(self.advances), frozenset(self._ended) if self.advances else frozenset()
        self.advances.clear()
        return [
            _encode(advance.event, "progress")
            for job_id, advance in advances.items()
            if job_id not in ended and self._log.admits(advance.tenant)
        ]

    async def _snapshot(self, *, missed: bool) -> bytes:
        if self.job_id is None:
            self._seen = await self._log.last_id()
            counts = await run_in_threadpool(self._services.queue.counts)
            return _encode(QueueSnapshotEvent(jobs=counts, missed=missed), "snapshot", self._seen)
        job, self._seen = await self._log.look(self.job_id)
        snapshot = SnapshotEvent(job=job, missed=missed)
        if job.finished_at is None:
            return _encode(snapshot, "snapshot", self._seen)
        self.has_ended = True
        done = DoneEvent(job_id=job.id, at=job.finished_at, status=job.status, job=job)
        # Without an id, so that a reader cut off in between gets the end again.
        return _encode(snapshot, "snapshot") + _encode(done, "done", _id_of_end(job, self._seen))


def _id_of_end(job: Job, last: str) -> str:
    """Id of the final event, also when it is no longer kept."""
    if last != START or job.finished_at is None:
        return last
    return f"{int(job.finished_at.timestamp() * 1000)}-0"


def _encode(event: Wire, name: str, stream_id: str | None = None) -> bytes:
    return format_sse_event(data_str=event.model_dump_json(), event=name, id=stream_id)
