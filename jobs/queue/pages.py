"""Lists of jobs, page by page."""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import cast

from redis import Redis

from jobs.db import keys
from jobs.errors import InvalidRequestError
from jobs.queue.pace import PaceBook
from jobs.status.job import JobPage, JobStatus
from jobs.status.records import to_job

PAGE_BYTES = 4 << 20  # of the records on one page
CURSOR = r"^[0-9]{1,17}$"
_CURSOR = re.compile(CURSOR, re.ASCII)


class JobPages:
    """Pages of the indexes of jobs, newest first."""

    def __init__(self, redis: Redis, pace: PaceBook) -> None:
        self._redis = redis
        self._pace = pace

    def read(self, status: JobStatus | None, cursor: str | None, limit: int) -> JobPage:
        """Read one page; see ``JobQueue.list``."""
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise InvalidRequestError("cursor must be the next_cursor of an earlier page", field="cursor")
        if limit < 1:
            raise InvalidRequestError(f"limit must be at least 1, not {limit}", field="limit")
        rows = self._rows(status, cursor, limit + 1)
        page = rows[: min(limit, self._fitting(rows))]
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id, _ in page:
                pipeline.hgetall(keys.job(job_id))
                pipeline.zrank(keys.WAITING, job_id)
            answers = pipeline.execute()
        records, positions = answers[::2], answers[1::2]
        backlog = self._pace.backlog() if any(position is not None for position in positions) else None
        jobs = tuple(
            to_job(job_id, record, position, None if backlog is None else backlog.eta_of(record, position))
            for (job_id, _), record, position in zip(page, records, positions, strict=True)
            if record  # else deleted between the two look-ups
        )
        return JobPage(data=jobs, next_cursor=f"{page[-1][1]:.0f}" if len(rows) > len(page) else None)

    def _rows(self, status: JobStatus | None, cursor: str | None, number: int) -> list[tuple[str, float]]:
        """Ids with their times of creation."""
        index = keys.JOBS if status is None else keys.jobs_of(status)
        top = "+inf" if cursor is None else f"({cursor}"
        found = self._redis.zrevrangebyscore(index, top, "-inf", start=0, num=number, withscores=True)
        return cast("list[tuple[str, float]]", found)

    def _fitting(self, rows: Sequence[tuple[str, float]]) -> int:
        """The number of these jobs that fit on a page, at least one. It bounds the size of an answer."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id, _ in rows:
                pipeline.hget(keys.job(job_id), "record_bytes")
                pipeline.hstrlen(keys.job(job_id), "request")  # of a job of an older version
            answers = pipeline.execute()
        ends = accumulate(
            max(int(counted or 0), asked) for counted, asked in zip(answers[::2], answers[1::2], strict=True)
        )
        fitting: int = sum(end <= PAGE_BYTES for end in ends)
        return max(1, fitting)
