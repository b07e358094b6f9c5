"""Lists of jobs, page by page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate
from typing import cast

import structlog
from redis import Redis

from jobs.db import keys
from jobs.db.times import instant
from jobs.errors import InvalidRequestError
from jobs.queue.listing.scans import READ_AT_A_TIME, Row, Scan, Scanner, error_type
from jobs.queue.listing.wanted import Wanted
from jobs.queue.pace import Backlog, PaceBook
from jobs.status.history import ranked
from jobs.status.job import Job, JobStatus
from jobs.status.lists import FailureList, JobPage
from jobs.status.records import UNREADABLE, at_fault, to_job
from jobs.status.view import WHOLE, View
from jobs.storage.archive import JobArchive

log = structlog.get_logger(__name__)

PAGE_BYTES = 4 << 20  # of the records on one page
CURSOR = r"^[0-9]{1,17}$"
MOST_FAILURES = 5000  # that one answer counts
_CURSOR = re.compile(CURSOR, re.ASCII)


class JobPages:
    """Pages of the indexes of jobs."""

    def __init__(
        self, redis: Redis, pace: PaceBook, view: View = WHOLE, archive: JobArchive | None = None
    ) -> None:
        self._redis = redis
        self._pace = pace
        self._view = view
        self._archive = archive
        self._scanner = Scanner(redis, view, archive)

    def read(self, wanted: Wanted, cursor: str | None, limit: int) -> JobPage:
        """One page of jobs.

        Args:
            wanted: which jobs. Those in turn move up while others are claimed, so a later page may miss some.
            cursor: ``next_cursor`` of the page before.
            limit: jobs on a page at most, 1 or more; fewer if their records take over 4 MiB.

        Raises:
            InvalidRequestError: the cursor is none of ours, or the limit is below 1.
        """
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise InvalidRequestError("cursor must be the next_cursor of an earlier page", field="cursor")
        if limit < 1:
            raise InvalidRequestError(f"limit must be at least 1, not {limit}", field="limit")
        read = self._in_turn if wanted.order == "turn" else self._newest
        scan = read(wanted, cursor, limit + 1)
        rows = scan.rows
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
        if self._archive:
            records = self._archive.pages([job_id for job_id, _ in page], records)
        shown = (
            _shown(job_id, record, position, backlog)
            for (job_id, _), record, position in zip(page, records, positions, strict=True)
            if record  # else deleted between the two look-ups
        )
        jobs = tuple(job for job in shown if job is not None)
        is_cut = len(rows) > len(page)
        end = page[-1][1] if is_cut else scan.reached
        return JobPage(
            data=jobs,
            next_cursor=None if end is None else f"{end:.0f}",
            looked_to=None if is_cut else _moment(scan.reached),
        )

    def failures(self, wanted: Wanted) -> FailureList:
        """Why the jobs that are wanted have failed, of the newest 5000 of them."""
        scan = self._newest(replace(wanted, statuses=frozenset({JobStatus.FAILED})), None, MOST_FAILURES + 1)
        rows = scan.rows[:MOST_FAILURES]
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id, _ in rows:
                pipeline.hget(keys.job(job_id), "error")
            errors = pipeline.execute()
        told = (
            (kind, job_id)
            for (job_id, _), error in zip(rows, errors, strict=True)
            if error and (kind := error_type(error)) is not None
        )
        end = rows[-1][1] if len(scan.rows) > len(rows) else scan.reached
        return FailureList(data=ranked(told), looked_to=_moment(end))

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

    def _newest(self, wanted: Wanted, cursor: str | None, number: int) -> Scan:
        """Jobs by creation, the newest first."""
        tenant = self._index_tenant
        if wanted.label is not None:
            indexes = [keys.labeled(wanted.label, owner) for owner in self._label_owners()]
        elif wanted.statuses:
            indexes = [keys.jobs_of(status, tenant) for status in wanted.statuses]
        else:
            indexes = [keys.jobs_of_tenant(tenant) if tenant else keys.JOBS]
        # The default tenant has no index of its own: its jobs may be older than tenants. That of a label may hold ids
        # of jobs that a process without labels has deleted.
        is_exact = not wanted.is_narrow and (self._view.is_whole or bool(tenant))
        return self._scanner.scan(indexes, wanted, cursor, number, is_exact=is_exact)

    def _label_owners(self) -> set[str]:
        """The tenants that have an index of a label in the view."""
        tenants = {self._view.tenant}
        if self._view.is_whole:
            tenants |= cast("set[str]", self._redis.smembers(keys.TENANTS))
        return tenants

    def _in_turn(self, wanted: Wanted, cursor: str | None, number: int) -> Scan:
        """Waiting jobs with their places in the queue, from 1; parked ones behind the others."""
        found: list[Row] = []
        start = int(cursor or 0)
        while len(found) < number:
            ids = self._line(start, READ_AT_A_TIME)
            fits, _ = self._scanner.fits(wanted, ids)
            found += [(job_id, start + place) for place, job_id in enumerate(ids, 1) if fits[place - 1]]
            if len(ids) < READ_AT_A_TIME:
                break
            start += len(ids)
        return Scan(found[:number])

    def _line(self, start: int, number: int) -> list[str]:
        """Ids from a place of the queue on, counted from 0."""
        with self._redis.pipeline() as pipeline:
            pipeline.zrange(keys.WAITING, start, start + number - 1)
            pipeline.zcard(keys.WAITING)
            ids, waiting = pipeline.execute()
        if len(ids) < number:
            first = max(0, start - waiting)
            ids += cast("list[str]", self._redis.zrange(keys.PARKED, first, first + number - len(ids) - 1))
        return list(ids)

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


def _shown(
    job_id: str, record: Mapping[str, str], position: int | None, backlog: Backlog | None
) -> Job | None:
    """A job; None if its record is damaged, which the log says: it hides no other."""
    try:
        return to_job(job_id, record, position, None if backlog is None else backlog.eta_of(record, position))
    except UNREADABLE as error:
        log.warning("job cannot be read", job=job_id, reason=at_fault(error))
        return None


def _moment(created_us: float | None) -> datetime | None:
    return None if created_us is None else instant(int(created_us))
