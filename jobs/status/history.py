"""The last hour of the queue: what ended in each minute, how long jobs waited and ran, and why they failed."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from pydantic import Field
from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.flows import ANONYMOUS, caller_of
from jobs.db.times import instant
from jobs.status.job import JobStatus
from jobs.status.lists import Failures
from jobs.status.view import WHOLE, View
from jobs.wire import Wire

MINUTES = 60
MOST_JOBS = 5000  # that one answer counts
MOST_CALLERS = 20
_MINUTE_US = 60_000_000
_ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED)


class Minute(Wire):
    """What ended in one minute."""

    at: datetime = Field(description="When it began.")
    succeeded: int = Field(0, ge=0, description="Jobs that succeeded in it.", examples=[12])
    failed: int = Field(0, ge=0, description="Jobs that failed in it.")
    canceled: int = Field(0, ge=0, description="Jobs that were canceled in it.")


class Quantiles(Wire):
    """A duration over many jobs, in seconds; null without any."""

    p50: float | None = Field(None, ge=0, description="Half of the jobs took at most this.", examples=[1.2])
    p95: float | None = Field(None, ge=0, description="95 of 100 jobs took at most this.", examples=[4.5])


class CallerWork(Wire):
    """What the jobs of one caller took."""

    caller: str = Field(
        description="The caller, as `caller` of its jobs names it; `anonymous` for all without a name.",
        examples=["2bd806c9"],
    )
    jobs: int = Field(ge=1, description="Its jobs that ended.")
    work_s: float = Field(
        ge=0,
        description="Seconds that workers have held these jobs, since the start of the last attempt of each. Jobs "
        "share a worker, so the seconds of all callers may be more than an hour of each worker.",
        examples=[81.5],
    )


class QueueHistory(Wire):
    """The jobs that ended within the last hour and are kept still."""

    minutes: tuple[Minute, ...] = Field(description="The minutes of the hour, the oldest first.")
    jobs: dict[JobStatus, int] = Field(
        description="How many jobs ended in each way.",
        examples=[{"succeeded": 20, "failed": 1, "canceled": 0}],
    )
    wait_s: Quantiles = Field(description="From submission to the start of the last attempt.")
    run_s: Quantiles = Field(description="From that start to the end, of those that succeeded.")
    failures: tuple[Failures, ...] = Field(description="Why jobs failed, the most frequent reason first.")
    callers: tuple[CallerWork, ...] = Field(
        (),
        description=f"Whose jobs took the most work, at most {MOST_CALLERS} callers, the first of them first.",
    )
    is_cut: bool = Field(
        False, description=f"Whether more jobs ended: an answer counts the latest {MOST_JOBS}."
    )


@dataclass(frozen=True)
class _Ended:
    job_id: str
    status: JobStatus
    created_us: int
    started_us: int | None
    finished_us: int
    error: str | None
    caller: str


class History:
    """Reads the last hour from the records of jobs."""

    def __init__(self, redis: Redis, view: View = WHOLE) -> None:
        self._redis = redis
        self._view = view

    def seen_by(self, view: View) -> "History":
        """The same hour as somebody sees it: jobs outside of the view do not count."""
        return History(self._redis, view)

    @translates_redis_errors
    def read(self) -> QueueHistory:
        """The last hour; deleted jobs do not count."""
        seconds, microseconds = self._redis.time()
        now = seconds * 1_000_000 + microseconds
        since = now - MINUTES * _MINUTE_US
        ids = cast(
            "list[str]",
            self._redis.zrevrangebyscore(keys.FINISHED, "+inf", since, start=0, num=MOST_JOBS + 1),
        )
        return _summary(self._records(ids[:MOST_JOBS]), since, is_cut=len(ids) > MOST_JOBS)

    def _records(self, ids: Sequence[str]) -> list[_Ended]:
        """The jobs of the view, the latest first."""
        fields = ("tenant", "status", "created_us", "started_us", "finished_us", "error", "flow")
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hmget(keys.job(job_id), fields)
            rows = pipeline.execute()
        return [
            _Ended(
                job_id,
                JobStatus(status),
                int(created),
                None if started is None else int(started),
                int(finished),
                error,
                caller_of(flow) or ANONYMOUS,
            )
            for job_id, (tenant, status, created, started, finished, error, flow) in zip(
                ids, rows, strict=True
            )
            if finished is not None and self._view.shows_tenant(tenant)  # else deleted meanwhile
        ]


def _summary(ended: Sequence[_Ended], since: int, *, is_cut: bool) -> QueueHistory:
    numbers = Counter(
        (min(MINUTES - 1, (job.finished_us - since) // _MINUTE_US), job.status) for job in ended
    )
    started = [(job, job.started_us) for job in ended if job.started_us is not None]
    return QueueHistory(
        minutes=tuple(
            Minute(
                at=instant(since + place * _MINUTE_US),
                **{str(status): numbers[place, status] for status in _ENDED},
            )
            for place in range(MINUTES)
        ),
        jobs={status: sum(job.status is status for job in ended) for status in _ENDED},
        wait_s=_quantiles(start - job.created_us for job, start in started),
        run_s=_quantiles(
            job.finished_us - start for job, start in started if job.status is JobStatus.SUCCEEDED
        ),
        failures=_failures(ended),
        callers=_callers(ended),
        is_cut=is_cut,
    )


def _callers(ended: Iterable[_Ended]) -> tuple[CallerWork, ...]:
    jobs: Counter[str] = Counter()
    work_us: Counter[str] = Counter()
    for job in ended:
        jobs[job.caller] += 1
        work_us[job.caller] += 0 if job.started_us is None else max(0, job.finished_us - job.started_us)
    return tuple(
        CallerWork(caller=caller, jobs=jobs[caller], work_s=round(each / 1e6, 3))
        for caller, each in work_us.most_common(MOST_CALLERS)
    )


def _failures(ended: Iterable[_Ended]) -> tuple[Failures, ...]:
    return ranked((json.loads(job.error)["type"], job.job_id) for job in ended if job.error is not None)


def ranked(errors: Iterable[tuple[str, str]]) -> tuple[Failures, ...]:
    """The reasons for which jobs failed, from the type and the job of each error, the newest first."""
    by_type: dict[str, list[str]] = {}
    for name, job_id in errors:
        by_type.setdefault(name, []).append(job_id)
    most_first = sorted(by_type.items(), key=lambda item: -len(item[1]))
    return tuple(Failures(type=name, jobs=len(ids), newest=ids[0]) for name, ids in most_first)


def _quantiles(durations_us: Iterable[int]) -> Quantiles:
    """By the nearest rank; the server's clock may have been set back, which counts as no time."""
    ordered = sorted(max(0, duration) / 1e6 for duration in durations_us)
    if not ordered:
        return Quantiles()
    p50, p95 = (ordered[-(-len(ordered) * share // 100) - 1] for share in (50, 95))
    return Quantiles(p50=round(p50, 3), p95=round(p95, 3))
