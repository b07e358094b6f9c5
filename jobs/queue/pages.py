"""Lists of jobs, page by page."""

import re
from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import cast

from redis import Redis

from jobs.db import keys
from jobs.errors import InvalidRequestError
from jobs.queue.pace import PaceBook
from jobs.status.job import JobPage, JobStatus
from jobs.status.records import to_job
from jobs.status.view import WHOLE, View

READ_AT_A_TIME = 500
PAGE_BYTES = 4 << 20  # of the records on one page
CURSOR = r"^[0-9]{1,17}$"
_ALL = -1  # rows, as Redis counts them
_CURSOR = re.compile(CURSOR, re.ASCII)


class JobPages:
    """Pages of the indexes of jobs, newest first."""

    def __init__(self, redis: Redis, pace: PaceBook, view: View = WHOLE) -> None:
        self._redis = redis
        self._pace = pace
        self._view = view

    def read(
        self, statuses: Collection[JobStatus], label: str | None, cursor: str | None, limit: int
    ) -> JobPage:
        """One page of jobs, newest first.

        Args:
            statuses: keep only jobs of these; all if there is none.
            label: keep only jobs that have it.
            cursor: ``next_cursor`` of the page before.
            limit: jobs on a page at most, 1 or more; fewer if their records take over 4 MiB.

        Raises:
            InvalidRequestError: the cursor is none of ours, or the limit is below 1.
        """
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise InvalidRequestError("cursor must be the next_cursor of an earlier page", field="cursor")
        if limit < 1:
            raise InvalidRequestError(f"limit must be at least 1, not {limit}", field="limit")
        rows = self._rows(statuses, label, cursor, limit + 1)
        page = rows[: min(limit, self._fitting(rows))]
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id, _ in page:
                pipeline.hgetall(keys.job(job_id))
                pipeline.zrank(keys.WAITING, job_id)
            answers = pipeline.execute()
        records, positions = answers[::2], answers[1::2]
        backlog = self._pace.backlog() if any(position is not None for position in positions) else None
        for record in records:
            self._view.notice("list", record.get("tenant") if record else self._view.tenant)
        jobs = tuple(
            to_job(job_id, record, position, None if backlog is None else backlog.eta_of(record, position))
            for (job_id, _), record, position in zip(page, records, positions, strict=True)
            if record  # else deleted between the two look-ups
        )
        return JobPage(data=jobs, next_cursor=f"{page[-1][1]:.0f}" if len(rows) > len(page) else None)

    def counts(self) -> dict[JobStatus, int]:
        """Number of jobs of each status; see ``JobQueue.counts``."""
        if self._view.is_whole or self._view.tenant:
            tenants = [self._index_tenant]
        else:  # all but those of named tenants
            tenants = ["", *cast("set[str]", self._redis.smembers(keys.TENANTS))]
        with self._redis.pipeline() as pipeline:
            for status in JobStatus:
                for tenant in tenants:
                    pipeline.zcard(keys.jobs_of(status, tenant))
            numbers = pipeline.execute()
        by_status = (numbers[start : start + len(tenants)] for start in range(0, len(numbers), len(tenants)))
        return {
            status: first - sum(named) for status, (first, *named) in zip(JobStatus, by_status, strict=True)
        }

    @property
    def _index_tenant(self) -> str:
        """The tenant whose indexes hold the jobs of the view; empty for the indexes of all jobs."""
        return "" if self._view.is_whole else self._view.tenant

    def _rows(
        self, statuses: Collection[JobStatus], label: str | None, cursor: str | None, number: int
    ) -> list[tuple[str, float]]:
        """Ids with their times of creation."""
        if label is not None:
            return self._labeled(statuses, label, cursor, number)
        tenant = self._index_tenant
        indexes = [keys.jobs_of(status, tenant) for status in set(statuses)]
        if not indexes:
            indexes = [keys.jobs_of_tenant(tenant) if tenant else keys.JOBS]
        top = "+inf" if cursor is None else f"({cursor}"
        read = self._range if self._view.is_whole or tenant else self._of_default
        rows = {row for index in indexes for row in read(index, top, number)}
        return sorted(rows, key=lambda row: -row[1])[:number]

    def _labeled(
        self, statuses: Collection[JobStatus], label: str, cursor: str | None, number: int
    ) -> list[tuple[str, float]]:
        """Those of a label. Its index may hold ids of jobs that a process without labels has deleted."""
        tenants = {self._view.tenant}
        if self._view.is_whole:
            tenants |= cast("set[str]", self._redis.smembers(keys.TENANTS))
        wanted = set(statuses or JobStatus)
        found: list[tuple[str, float]] = []
        top = "+inf" if cursor is None else f"({cursor}"
        for tenant in tenants:
            rows = self._range(keys.labeled(label, tenant), top, _ALL)
            with self._redis.pipeline(transaction=False) as pipeline:
                for job_id, _ in rows:
                    pipeline.hget(keys.job(job_id), "status")
                found += [
                    row for row, status in zip(rows, pipeline.execute(), strict=True) if status in wanted
                ]
        return sorted(found, key=lambda row: -row[1])[:number]

    def _range(self, index: str, top: str, number: int) -> list[tuple[str, float]]:
        found = self._redis.zrevrangebyscore(index, top, "-inf", start=0, num=number, withscores=True)
        return cast("list[tuple[str, float]]", found)

    def _of_default(self, index: str, top: str, number: int) -> list[tuple[str, float]]:
        """Those of the default tenant, which has no index of its own: its jobs may be of a version without tenants."""
        found: list[tuple[str, float]] = []
        while len(found) < number:
            rows = self._range(index, top, READ_AT_A_TIME)
            with self._redis.pipeline(transaction=False) as pipeline:
                for job_id, _ in rows:
                    pipeline.hget(keys.job(job_id), "tenant")
                tenants = pipeline.execute()
            found += [
                row for row, tenant in zip(rows, tenants, strict=True) if self._view.shows_tenant(tenant)
            ]
            if len(rows) < READ_AT_A_TIME:
                break
            top = f"({rows[-1][1]:.0f}"
        return found[:number]

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
