"""The job queue as its callers see it: submit, look, cancel, forget."""

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from typing import cast

from pydantic_core import to_json
from redis import Redis

from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import PREFIX, Scripts
from jobs.errors import IdempotencyConflictError, InvalidRequestError, QueueFullError, UnknownJobError
from jobs.queue.order import WEIGHTS, cost_of, flow_of
from jobs.queue.pace import Line, PaceBook
from jobs.queue.tickets import Tickets
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.tasks import Task, dump_request
from jobs.status.candidates import load_candidates
from jobs.status.job import Job, JobPage, JobStatus, StoredImage
from jobs.status.records import load_images, to_job
from jobs.storage.job_files import NO_FILES, BroughtFiles
from jobs.wire import dump_as_stored

IDEMPOTENCY_TTL_S = 24 * 3600
PAGE_BYTES = 4 << 20  # of the records on one page
HOLDERS_TRIED = 8  # jobs of which one may be deleted at any time
CURSOR = r"^[0-9]{1,17}$"
_CURSOR = re.compile(CURSOR, re.ASCII)


@dataclass(frozen=True)
class Submission:
    """A job that was accepted now, or earlier under the same idempotency key."""

    job: Job
    replayed: bool


class JobQueue:
    """Durable jobs in Redis. Every change of a job's status is one atomic script.

    All methods raise QueueUnavailableError when Redis cannot be reached or refuses to write.
    """

    def __init__(self, redis: Redis, *, max_queued: int, max_kept_bytes: int = 0) -> None:
        """Make one.

        Args:
            redis: that keeps the jobs.
            max_queued: jobs that may wait.
            max_kept_bytes: of all jobs, ended ones included; 0 for any number.
        """
        self._redis = redis
        self._scripts = Scripts(redis)
        self._tickets = Tickets(redis)
        self._pace = PaceBook(redis)
        self._max_queued = max_queued
        self._max_kept_bytes = max_kept_bytes

    @translates_redis_errors
    def expect_files(self, job_id: str) -> None:
        """Files are about to be stored for this job: they are collected if it is not submitted within minutes."""
        self._scripts("expect", job_id)

    @translates_redis_errors
    def submit(
        self,
        resolved: ResolvedRequest | Task,
        *,
        idempotency_key: str | None = None,
        key_owner: str | None = None,
        original: GenerateRequest | None = None,
        caller: str = "",
        prediction_base: str = "",
        job_id: str | None = None,
        files: BroughtFiles = NO_FILES,
    ) -> Submission:
        """Store a job and tell the workers.

        Args:
            resolved: what the job does.
            idempotency_key: a second submission of the same owner under the same key returns the first one's job.
            key_owner: whose the key is; the caller's if left out.
            original: the request as it came, before a random seed was drawn; the key is bound to it, and the webhook is
                in it.
            caller: who asks. Callers get equal shares of the work, whatever number of jobs each submits; all who do not
                say who they are count as one.
            prediction_base: address of this server, to tell the webhook of a prediction as Replicate does; if empty,
                the webhook is told of the job.
            job_id: what ``new_job_id`` has drawn, for a job whose files are stored before it; else drawn here.
            files: these.

        Raises:
            QueueFullError: too many jobs wait, or those that are kept take too many bytes.
            IdempotencyConflictError: the key was used for another request.
        """
        body = resolved if original is None else original
        # Without defaults, so that a version which adds a field still knows the keys of the version before.
        digest = sha256(to_json(dump_as_stored(body))).hexdigest()
        outcome, accepted_id = self._scripts(
            "submit",
            job_id or new_job_id(),
            dump_request(resolved),
            self._max_queued,
            _place_of_key(idempotency_key, caller if key_owner is None else key_owner),
            digest,
            IDEMPOTENCY_TTL_S,
            flow_of(caller, resolved.priority),
            WEIGHTS[resolved.priority],
            cost_of(resolved),
            resolved.model,
            *_webhook_fields(original),
            prediction_base,
            self._max_kept_bytes,
            files.uploads_bytes,
            files.inputs_bytes,
            *files.inputs,
        )
        if outcome == "full":
            raise QueueFullError(f"{self._max_queued} jobs are waiting already, and no more are accepted")
        if outcome == "heavy":
            raise QueueFullError(
                f"the jobs that are kept take as many bytes as they may, {self._max_kept_bytes}; "
                "try again when some have ended, or delete some"
            )
        if outcome == "conflict":
            raise IdempotencyConflictError(
                "this idempotency key was used with a different request", field="Idempotency-Key"
            )
        job = self.get(accepted_id)
        if job.status is JobStatus.QUEUED:
            # Also for a replay: the first submission may have died between storing the job and writing its ticket.
            self._tickets.write(accepted_id)
        return Submission(job, replayed=outcome == "replayed")

    @translates_redis_errors
    def get(self, job_id: str) -> Job:
        """The job as it stands.

        Raises:
            UnknownJobError: there is none of this id.
        """
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(f"{PREFIX}job:{job_id}")
            pipeline.zrank(PREFIX + "waiting", job_id)
            record, position = pipeline.execute()
        if not record:
            raise _unknown(job_id)
        return to_job(job_id, record, position, self._eta_s(record, position, None))

    @translates_redis_errors
    def holders(self, digest: str) -> tuple[str, ...]:
        """Ids of some jobs that keep a picture; none if no job does."""
        found = cast("list[str]", self._redis.srandmember(f"{PREFIX}inputs:{digest}", HOLDERS_TRIED))
        return tuple(found)

    @translates_redis_errors
    def line(self) -> Line:
        """The waiting jobs as a whole, and how fast they are worked on."""
        return self._pace.line()

    @translates_redis_errors
    def images(self, job_id: str) -> tuple[StoredImage, ...]:
        """Where the artifact store keeps a job's pictures; before it has succeeded, those made for a choice.

        Raises:
            UnknownJobError: there is none of this id.
        """
        record = self._record(job_id)
        return load_images(record) or (
            load_candidates(record) if record["status"] == JobStatus.RUNNING else ()
        )

    @translates_redis_errors
    def list(self, *, status: JobStatus | None = None, cursor: str | None = None, limit: int = 50) -> JobPage:
        """One page of jobs, newest first, of one status or of all.

        Args:
            status: keep only jobs of this status.
            cursor: ``next_cursor`` of the page before.
            limit: jobs on a page at most, 1 or more; there are fewer if their records take over ``PAGE_BYTES``.

        Raises:
            InvalidRequestError: the cursor is none of ours, or the limit is below 1.
        """
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise InvalidRequestError("cursor must be the next_cursor of an earlier page", field="cursor")
        if limit < 1:
            raise InvalidRequestError(f"limit must be at least 1, not {limit}", field="limit")
        index = PREFIX + ("jobs" if status is None else f"status:{status}")
        top = "+inf" if cursor is None else f"({cursor}"
        rows = cast(
            "list[tuple[str, float]]",
            self._redis.zrevrangebyscore(index, top, "-inf", start=0, num=limit + 1, withscores=True),
        )
        page = rows[: min(limit, self._fitting(rows))]
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id, _ in page:
                pipeline.hgetall(f"{PREFIX}job:{job_id}")
                pipeline.zrank(PREFIX + "waiting", job_id)
            answers = pipeline.execute()
        records = zip(page, answers[::2], answers[1::2], strict=True)
        line = self._pace.line() if any(position is not None for position in answers[1::2]) else None
        # A job deleted between the two look-ups has an empty record.
        jobs = tuple(
            to_job(job_id, record, position, self._eta_s(record, position, line))
            for (job_id, _), record, position in records
            if record
        )
        return JobPage(data=jobs, next_cursor=f"{page[-1][1]:.0f}" if len(rows) > len(page) else None)

    @translates_redis_errors
    def counts(self) -> dict[JobStatus, int]:
        """Number of jobs of each status."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for status in JobStatus:
                pipeline.zcard(f"{PREFIX}status:{status}")
            return dict(zip(JobStatus, pipeline.execute(), strict=True))

    @translates_redis_errors
    def cancel(self, job_id: str) -> Job:
        """Cancel a waiting job at once, or tell a running one to stop at its next step; the job as it then stands.

        Raises:
            UnknownJobError: there is none of this id.
        """
        if not self._scripts("cancel", job_id):
            raise _unknown(job_id)
        return self.get(job_id)

    @translates_redis_errors
    def delete(self, job_id: str) -> None:
        """Forget a job, whatever it is doing.

        Raises:
            UnknownJobError: there is none of this id.
        """
        if not self._scripts("delete", job_id):
            raise _unknown(job_id)

    @translates_redis_errors
    def check(self) -> None:
        """Raise QueueUnavailableError unless Redis answers and takes writes."""
        self._redis.set(PREFIX + "check", "ok", ex=60)

    def _eta_s(self, record: dict[str, str], position: int | None, line: Line | None) -> float | None:
        if position is None:
            return None
        return (line or self._pace.line()).eta_s(position, int(record["cost"]))

    def _fitting(self, rows: Sequence[tuple[str, float]]) -> int:
        """How many of these jobs a page holds, one at least: no answer is large, whatever its jobs hold."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id, _ in rows:
                pipeline.hget(f"{PREFIX}job:{job_id}", "record_bytes")
                pipeline.hstrlen(
                    f"{PREFIX}job:{job_id}", "request"
                )  # all that a job of an older version tells
            answers = pipeline.execute()
        ends = accumulate(
            max(int(counted or 0), asked) for counted, asked in zip(answers[::2], answers[1::2], strict=True)
        )
        fitting: int = sum(end <= PAGE_BYTES for end in ends)
        return max(1, fitting)

    def _record(self, job_id: str) -> dict[str, str]:
        record = cast("dict[str, str]", self._redis.hgetall(f"{PREFIX}job:{job_id}"))
        if not record:
            raise _unknown(job_id)
        return record


def new_job_id() -> str:
    """An id that no other job has; those of later jobs sort after it, which decides between equal tags in the line."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"


def _unknown(job_id: str) -> UnknownJobError:
    return UnknownJobError(f"there is no job {job_id!r}: it never existed, was deleted, or has expired")


def _place_of_key(key: str | None, owner: str) -> str:
    """Where an idempotency key is kept. Nobody meets another's; those of all who do not say who they are are one's."""
    if not key or not owner:
        return f"idempotency:{key}" if key else ""
    return f"idempotency_of:{sha256(owner.encode()).hexdigest()[:32]}:{key}"


def _webhook_fields(request: GenerateRequest | None) -> tuple[str, str]:
    webhook = None if request is None else request.webhook
    return ("", "") if webhook is None else (str(webhook.url), ",".join(webhook.events))
