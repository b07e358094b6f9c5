"""How jobs end and go, read from the stream of all jobs' events: for those who keep something of each ended job."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.stream_ids import StreamId
from jobs.events.event_log import KEPT_OF_ALL, START, EventsMissedError
from jobs.status.job import JobStatus
from jobs.storage.archive import MARK

READ_AT_A_TIME = 1000  # a tenth of what the stream keeps


@dataclass(frozen=True)
class Ending:
    """What a job has become.

    Attributes:
        job_id: its id.
        is_kept: whether it has succeeded. Else it has ended in another way, or was deleted.
    """

    job_id: str
    is_kept: bool


@dataclass(frozen=True)
class Portion:
    """A part of the stream.

    Attributes:
        endings: those in it, in their order.
        cursor: where the next part begins.
        is_last: whether nothing followed.
    """

    endings: tuple[Ending, ...]
    cursor: str
    is_last: bool


class Endings:
    """Reads the ends and deletions of all tenants' jobs. All methods raise QueueUnavailableError when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @translates_redis_errors
    def cursor(self) -> str:
        """Where the stream ends now."""
        last: Any = self._redis.xrevrange(keys.events(None), count=1)
        return str(last[0][0]) if last else START

    def after(self, cursor: str) -> Portion:
        """The next part of the stream: one short command if there is nothing new.

        Raises:
            EventsMissedError: events behind the cursor are no longer kept, or it is none of this stream's.
        """
        if self.cursor() == cursor:
            return Portion((), cursor, True)
        return self._behind(cursor)

    @translates_redis_errors
    def _behind(self, cursor: str) -> Portion:
        place = StreamId.read(cursor)
        if place is None:
            raise EventsMissedError
        stream = keys.events(None)
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.xlen(stream)
            pipeline.xrange(stream, count=1)
            pipeline.xrevrange(stream, count=1)
            pipeline.xrange(stream, min=place.after, count=READ_AT_A_TIME)
            length, first, last, rows = pipeline.execute()
        newest = StreamId.of(last[0][0] if last else START)
        # A stream below its cap was never trimmed.
        is_cut = length >= KEPT_OF_ALL and StreamId.of(first[0][0]) > place
        if is_cut or place > newest:
            raise EventsMissedError
        return Portion(
            tuple(ending for _, fields in rows if (ending := _ending(fields)) is not None),
            rows[-1][0] if rows else cursor,
            len(rows) < READ_AT_A_TIME,
        )

    @translates_redis_errors
    def executions(self, job_ids: Sequence[str]) -> list[str | None]:
        """The fence of the execution that has made each job's pictures.

        Empty if only its archive tells; None if the job is gone, or makes no pictures.
        """
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hmget(keys.job(job_id), "status", "kind", "settled_by", MARK)
            return [_fence(*row) for row in pipeline.execute()]


def _ending(fields: dict[str, str]) -> Ending | None:
    if fields["type"] == "done":
        return Ending(fields["job_id"], fields.get("status") == JobStatus.SUCCEEDED)
    return Ending(fields["job_id"], False) if fields["type"] == "deleted" else None


def _fence(status: str | None, kind: str | None, fence: str | None, archived: str | None) -> str | None:
    if status != JobStatus.SUCCEEDED or (kind or "generate") != "generate":
        return None
    return "" if archived else fence
