"""Reading the events of one job, or of all: from any point, to the end, with nothing lost and nothing twice.

The scripts append to one stream for each job, from its first start or change until an hour after its end, and to one
stream for all jobs, which has no progress: see ``advances``. Both are capped. A reader that was away for too long gets
EventsMissedError.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from jobs.db import keys
from jobs.db.connection import translating_redis_errors
from jobs.db.stream_ids import StreamId
from jobs.errors import UnknownJobError, unknown_job
from jobs.events.events import DoneEvent, Event, read_event
from jobs.status.job import Job, JobStatus
from jobs.status.records import to_job
from jobs.status.view import WHOLE, View
from jobs.storage.archive import MARK, JobArchive

# Entries that the scripts keep at least, see jobs/db/lua/prelude.lua.
KEPT_OF_A_JOB = 1000
KEPT_OF_ALL = 10_000
START = "0-0"


@dataclass(frozen=True)
class Entry:
    """An event and its id, which is where a reader that has seen it resumes."""

    id: str
    event: Event | None
    """None for one of a newer version, that this one cannot read."""


class EventsMissedError(Exception):
    """Events after the reader's last one are no longer kept, or that one is none of this stream's."""


class EventLog:
    """The events that Redis keeps.

    All methods raise QueueUnavailableError when Redis cannot be reached.
    """

    def __init__(self, redis: Redis, view: View = WHOLE, archive: JobArchive | None = None) -> None:
        self._redis = redis
        self._view = view
        self._archive = archive

    def seen_by(self, view: View) -> "EventLog":
        """The same events as somebody sees them: to this one, jobs outside of the view do not exist."""
        return EventLog(self._redis, view, self._archive)

    async def look(self, job_id: str) -> tuple[Job, str]:
        """The job now, and the id of its last event.

        Raises:
            UnknownJobError: there is none of this id.
        """
        async with self._transaction() as together:
            together.hgetall(keys.job(job_id))
            together.zrank(keys.WAITING, job_id)
            together.xrevrange(keys.events(job_id), count=1)
            record, position, last = await _answers(together)
        if not record or not self._view.shows(record, job_id):
            raise unknown_job(job_id)
        last = last or _first(record)
        if MARK in record and self._archive:
            record = await asyncio.to_thread(self._archive.whole, job_id, record)
        return to_job(job_id, record, position), last[0][0] if last else START

    async def last_id(self) -> str:
        """Id of the last event of all jobs."""
        with translating_redis_errors():
            last: Any = await self._redis.xrevrange(self._stream(None), count=1)
        return str(last[0][0]) if last else START

    async def after(self, job_id: str | None, seen: str, limit: int = 100) -> list[Entry]:
        """The events of a job, or of all jobs, that follow the one with the id ``seen``; ``limit`` at most.

        ``done`` comes with its job.

        Raises:
            EventsMissedError: some of them are no longer kept, or ``seen`` is none of ours.
        """
        place = StreamId.read(seen)
        if place is None:
            raise EventsMissedError
        stream = self._stream(job_id)
        async with self._transaction() as together:
            together.xlen(stream)
            together.xrange(stream, count=1)
            together.xrevrange(stream, count=1)
            together.xrange(stream, min=place.after, count=limit)
            together.hmget(keys.job(job_id or ""), "status", "created_us")
            length, first, last, rows, (status, created) = await _answers(together)
        if job_id is not None and not last:
            last = _first({"status": status, "created_us": created})
            rows = [row for row in last if StreamId.of(row[0]) > place]
        newest = StreamId.of(last[0][0] if last else START)
        # A stream below its cap was never trimmed.
        is_cut = length >= (KEPT_OF_ALL if job_id is None else KEPT_OF_A_JOB)
        if place > newest or (is_cut and StreamId.of(first[0][0]) > place):
            raise EventsMissedError
        return [await self._entry(stream_id, fields, job_id) for stream_id, fields in rows]

    async def kept(self, job_id: str) -> list[Event]:
        """The events of a job that are kept, in their order; without the jobs of ``done`` events.

        Raises:
            UnknownJobError: there is none of this id.
        """
        async with self._transaction() as together:
            together.hgetall(keys.job(job_id))
            together.xrange(keys.events(job_id))
            record, rows = await _answers(together)
        if not record or not self._view.shows(record, job_id):
            raise unknown_job(job_id)
        events = []
        for stream_id, fields in rows or _first(record):
            with suppress(ValidationError):  # one of a newer version
                events.append(read_event(stream_id, fields, job_id))
        return events

    async def preview(self, job_id: str, index: int) -> str | None:
        """The newest preview of a picture, a JPEG in base64; None before the first and after the last one expired."""
        async with self._transaction() as together:
            together.hget(keys.job(job_id), "tenant")
            together.hget(keys.previews(job_id), str(index))
            tenant, found = await _answers(together)
        return None if found is None or not self._view.shows_tenant(tenant) else str(found)

    def admits(self, tenant: str) -> bool:
        """Whether the view shows the events of jobs of this tenant."""
        if tenant and self._view.is_whole:
            self._view.notice("events", tenant)
        return self._view.shows_tenant(tenant)

    def _stream(self, job_id: str | None) -> str:
        """The stream of a job's events, or of those of all jobs that the view shows.

        The default tenant reads the one of all tenants, and passes over what is not its own.
        """
        if job_id is None and self._view.tenant and not self._view.is_whole:
            return keys.events_of(self._view.tenant)
        return keys.events(job_id)

    async def _entry(self, stream_id: str, fields: dict[str, str], job_id: str | None) -> Entry:
        if tenant := fields.pop("tenant", None):
            if not self._view.is_whole:
                return Entry(
                    stream_id, None
                )  # another tenant's, in the stream of all that the default one reads
            self._view.notice("events", tenant)
        try:
            event = read_event(stream_id, fields, job_id)
        except ValidationError:
            return Entry(stream_id, None)
        if isinstance(event, DoneEvent):
            with suppress(UnknownJobError):
                job, _ = await self.look(event.job_id)
                event = event.model_copy(update={"job": job})
        return Entry(stream_id, event)

    def _transaction(self) -> Pipeline:
        return self._redis.pipeline(transaction=True)


def _first(record: Mapping[str, str | None]) -> list[tuple[str, dict[str, str]]]:
    """The entry that the stream of a waiting job will begin with: see ``begin_events`` in ``prelude.lua``."""
    if record["status"] != JobStatus.QUEUED:
        return []
    return [(f"{int(record['created_us'] or 0) // 1000}-0", {"type": "queued", "reason": "submitted"})]


async def _answers(together: Pipeline) -> list[Any]:
    with translating_redis_errors():
        return await together.execute()
