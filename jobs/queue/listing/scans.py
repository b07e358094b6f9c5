"""Looks through indexes of jobs for those that no index has by themselves: of a kind, a model, a prompt.

One call looks at a bounded number of jobs, so that no question holds a server up, however many jobs are kept.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from redis import Redis

from jobs.db import keys
from jobs.db.flows import caller_of
from jobs.queue.listing.wanted import Wanted
from jobs.status.records import UNREADABLE
from jobs.status.view import View
from jobs.storage.archive import MARK, JobArchive

BUDGET = 10_000
"""Units that one call may spend: one for a job, five more and one for each KiB if its prompt is read, a hundred more if
that lies in the artifact store."""
PROMPT_UNITS, ARCHIVED_UNITS = 5, 100
READ_AT_A_TIME = 500
PROMPTS_AT_A_TIME = 100

Row = tuple[str, float]
"""The id of a job, and its creation in microseconds."""


@dataclass(frozen=True)
class Scan:
    """What was found.

    Attributes:
        rows: jobs, the newest first.
        reached: creation of the oldest job that was looked at, if the budget ended there; else None.
    """

    rows: list[Row]
    reached: float | None = None


class Scanner:
    """Finds jobs in indexes by creation."""

    def __init__(self, redis: Redis, view: View, archive: JobArchive | None) -> None:
        self._redis, self._view, self._archive = redis, view, archive

    def scan(
        self, indexes: Sequence[str], wanted: Wanted, cursor: str | None, number: int, *, is_exact: bool
    ) -> Scan:
        """The newest jobs of some indexes together.

        Args:
            indexes: no job is in two of them.
            wanted: which of their jobs.
            cursor: creation of the last job of the page before.
            number: of jobs at most.
            is_exact: whether the indexes have no others within the times that are wanted.
        """
        top, budget = wanted.newest(cursor), max(1, BUDGET // max(1, len(indexes)))
        scans = [
            Scan(self._range(index, top, wanted.oldest, number))
            if is_exact
            else self._through(index, wanted, top, number, budget)
            for index in indexes
        ]
        reached = max((scan.reached for scan in scans if scan.reached is not None), default=None)
        # Below the place that each of them has reached, one of them may have more.
        rows = [row for scan in scans for row in scan.rows if reached is None or row[1] >= reached]
        return Scan(sorted(rows, key=lambda row: -row[1])[:number], reached)

    def fits(self, wanted: Wanted, ids: Sequence[str]) -> tuple[list[bool], int]:
        """Whether each of these jobs is there, of the view, and wanted; and the units that the look cost."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hmget(keys.job(job_id), ("status", "tenant", "kind", "model", "error", "flow"))
            fits = [self._fit(wanted, *record) for record in pipeline.execute()]
        if wanted.text is None:
            return fits, len(ids)
        left = [job_id for job_id, fit in zip(ids, fits, strict=True) if fit]
        prompts, cost = self._prompts(left)
        found = {job_id for job_id, prompt in zip(left, prompts, strict=True) if wanted.text in prompt}
        return [job_id in found for job_id in ids], len(ids) + cost

    def _fit(
        self,
        wanted: Wanted,
        status: str | None,
        tenant: str | None,
        kind: str | None,
        model: str | None,
        error: str | None,
        flow: str | None,
    ) -> bool:
        return (
            status is not None
            and self._view.shows_tenant(tenant)
            and (not wanted.statuses or status in wanted.statuses)
            and (not wanted.kinds or (kind or "generate") in wanted.kinds)
            and (wanted.model is None or model == wanted.model)
            and (wanted.error is None or (error is not None and error_type(error) == wanted.error))
            and (wanted.caller is None or caller_of(flow) == wanted.caller)
        )

    def _prompts(self, ids: Sequence[str]) -> tuple[list[str], int]:
        """The prompts of jobs, casefolded and empty where there is none, and what it cost to read them."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hmget(keys.job(job_id), ("request", MARK))
            answers = cast("list[tuple[str | None, str | None]]", pipeline.execute())
        records = [
            {name: value for name, value in zip(("request", MARK), answer, strict=True) if value is not None}
            for answer in answers
        ]
        archived = sum(MARK in record for record in records)
        if self._archive:
            records = self._archive.pages(ids, records)
        requests = [record.get("request", "{}") for record in records]
        cost = sum(PROMPT_UNITS + len(request) // 1024 for request in requests)
        return [_prompt(request) for request in requests], cost + ARCHIVED_UNITS * archived

    def _through(self, index: str, wanted: Wanted, top: str, number: int, budget: int) -> Scan:
        """Look through one index."""
        found: list[Row] = []
        portion = READ_AT_A_TIME if wanted.text is None else PROMPTS_AT_A_TIME
        while len(found) < number:
            rows = self._range(index, top, wanted.oldest, portion)
            fits, cost = self.fits(wanted, [job_id for job_id, _ in rows])
            found += [row for row, fit in zip(rows, fits, strict=True) if fit]
            budget -= cost
            if len(rows) < portion:
                break
            reached = rows[-1][1]
            if budget <= 0 and len(found) < number:
                return Scan(found, reached)
            top = f"({reached:.0f}"
        return Scan(found[:number])

    def _range(self, index: str, top: str, bottom: str, number: int) -> list[Row]:
        found = self._redis.zrevrangebyscore(index, top, bottom, start=0, num=number, withscores=True)
        return cast("list[Row]", found)


def error_type(error: str) -> str | None:
    """The type of an error as it is stored; None if that is damaged."""
    try:
        return str(json.loads(error)["type"])
    except UNREADABLE:
        return None


def _prompt(request: str) -> str:
    try:
        return str(json.loads(request).get("prompt") or "").casefold()
    except (*UNREADABLE, AttributeError):
        return ""
