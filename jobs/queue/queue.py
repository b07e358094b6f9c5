"""The job queue as its callers see it: submit, get, cancel, delete."""

from collections.abc import Callable, Collection
from copy import copy
from typing import cast

from redis import Redis

from jobs.callers.payer import Payer, unlimited
from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import Scripts
from jobs.errors import unknown_job
from jobs.queue.pace import Backlog, PaceBook
from jobs.queue.pages import JobPages
from jobs.queue.standing import Note, ignore, require_covered
from jobs.queue.submission import (
    NATIVE,
    Presentation,
    QueueLimits,
    Submission,
    charge_fields,
    file_fields,
    key_fields,
    new_job_id,
    order_fields,
    presentation_fields,
    webhook_fields,
)
from jobs.queue.tickets import Tickets
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.tasks import Task, dump_request
from jobs.status.candidates import load_candidates, load_rejected
from jobs.status.job import Job, JobPage, JobStatus, StoredImage
from jobs.status.records import load_images, to_job
from jobs.status.view import WHOLE, View
from jobs.storage.job_files import NO_FILES, BroughtFiles

HOLDERS_TRIED = 8  # jobs of which one may be deleted at any time


class JobQueue:
    """Durable jobs in Redis. Every change of a job's status is one atomic script.

    All methods raise QueueUnavailableError when Redis cannot be reached or refuses to write.
    """

    def __init__(
        self, redis: Redis, *, max_queued: int, max_kept_bytes: int = 0, max_kept_file_bytes: int = 0
    ) -> None:
        """Make one.

        Args:
            redis: the server.
            max_queued: limit of waiting jobs.
            max_kept_bytes: limit of the size of all jobs in Redis, ended ones included; 0 for none.
            max_kept_file_bytes: limit of the size of all files that were sent for them; 0 for none.
        """
        self._redis = redis
        self._scripts = Scripts(redis)
        self._tickets = Tickets(redis)
        self._pace = PaceBook(redis)
        self._pages = JobPages(redis, self._pace)
        self._limits = QueueLimits(max_queued, max_kept_bytes, max_kept_file_bytes)
        self._view = WHOLE
        self._payer: Callable[[], Payer] | None = None
        self._note: Note = ignore

    def seen_by(
        self, view: View, payer: Callable[[], Payer] | None = None, note: Note = ignore
    ) -> "JobQueue":
        """The same queue as somebody sees it: to this one, jobs outside of the view do not exist.

        Args:
            view: what it sees.
            payer: who pays for its jobs, asked at each submission; else its tenant, without limits.
            note: is told what is left of the payer's limits at each submission.
        """
        seen = copy(self)
        seen._view, seen._pages = view, JobPages(self._redis, self._pace, view)
        seen._payer, seen._note = payer, note
        return seen

    @translates_redis_errors
    def expect_files(self, job_id: str) -> None:
        """Announce files of a job before its submission; they are collected if it does not follow within minutes."""
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
        presentation: Presentation = NATIVE,
        job_id: str | None = None,
        files: BroughtFiles = NO_FILES,
    ) -> Submission:
        """Store a job and tell the workers.

        Args:
            resolved: the request with every default filled in.
            idempotency_key: a second submission of the same owner under the same key returns the first one's job.
            key_owner: whose the key is; the caller's if left out.
            original: the request as it came, before a random seed was drawn. The key is bound to it, and it holds the
                webhook.
            caller: its name. Callers get equal shares of the work, whatever number of jobs each submits; all anonymous
                ones count as one.
            presentation: how answers show the job.
            job_id: from ``new_job_id``, for a job whose files are stored before it; else drawn here.
            files: of the job.

        Raises:
            QueueFullError: too many jobs wait, or all jobs together take too many bytes.
            RateLimitedError, QuotaExceededError: its payer's quota does not cover it now.
            IdempotencyConflictError: the key was used for another request.
        """
        owner, tenant = caller if key_owner is None else key_owner, self._view.tenant
        payer = unlimited(tenant) if self._payer is None else self._payer()
        order = order_fields(resolved, caller, tenant, payer.weight)
        outcome, accepted_id, *charged = self._scripts(
            "submit",
            job_id or new_job_id(),
            dump_request(resolved),
            self._limits.queued,
            *key_fields(idempotency_key, owner, original or resolved, tenant),
            *order,
            resolved.model,
            *webhook_fields(original),
            *presentation_fields(presentation),
            self._limits.kept_bytes,
            self._limits.kept_file_bytes,
            *file_fields(files),
            tenant,
            *charge_fields(resolved, payer),
            *files.inputs,
        )
        self._limits.require_accepted(outcome)
        require_covered(payer, charged, order[-1], self._note)
        job = self.get(accepted_id)
        if job.status is JobStatus.QUEUED:
            # Also for a replay: the first submission may have died between storing the job and writing its ticket.
            self._tickets.write(accepted_id)
        return Submission(job, replayed=outcome == "replayed")

    @translates_redis_errors
    def get(self, job_id: str) -> Job:
        """The job now.

        Raises:
            UnknownJobError: there is none of this id, or the view does not show it.
        """
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(keys.job(job_id))
            pipeline.zrank(keys.WAITING, job_id)
            record, position = pipeline.execute()
        if not record or not self._view.shows(record, job_id):
            raise unknown_job(job_id)
        eta_s = None if position is None else self._pace.backlog().eta_of(record, position)
        return to_job(job_id, record, position, eta_s)

    @translates_redis_errors
    def holders(self, digest: str) -> tuple[str, ...]:
        """Ids of some of the tenant's jobs that keep this picture; empty if none does."""
        place = keys.inputs(digest, self._view.tenant)
        found = cast("list[str]", self._redis.srandmember(place, HOLDERS_TRIED))
        return tuple(found)

    @translates_redis_errors
    def backlog(self) -> Backlog:
        """The waiting jobs as a whole, and the pace of the workers."""
        return self._pace.backlog()

    @translates_redis_errors
    def images(self, job_id: str, *, rejected: bool = False) -> tuple[StoredImage, ...]:
        """A job's pictures in the artifact store, also the ``rejected``; before it has succeeded, its candidates.

        Raises:
            UnknownJobError: there is none of this id.
        """
        record = self._record(job_id)
        if not (images := load_images(record)):
            return load_candidates(record) if record["status"] == JobStatus.RUNNING else ()
        return images + (load_rejected(record, images) if rejected else ())

    @translates_redis_errors
    def list(
        self,
        *,
        status: JobStatus | Collection[JobStatus] | None = None,
        label: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """One page of jobs, newest first, of a status or of some; see ``JobPages.read``."""
        statuses = (status,) if isinstance(status, JobStatus) else status or ()
        return self._pages.read(statuses, label, cursor, limit)

    @translates_redis_errors
    def counts(self) -> dict[JobStatus, int]:
        """Number of jobs of each status."""
        return self._pages.counts()

    @translates_redis_errors
    def cancel(self, job_id: str) -> Job:
        """Cancel a waiting job at once, or request that a running one stops at its next step; the job after that.

        Raises:
            UnknownJobError: there is none of this id.
        """
        self._require_shown(job_id)
        if not self._scripts("cancel", job_id):
            raise unknown_job(job_id)
        return self.get(job_id)

    @translates_redis_errors
    def delete(self, job_id: str) -> None:
        """Delete a job in any status.

        Raises:
            UnknownJobError: there is none of this id.
        """
        self._require_shown(job_id)
        if not self._scripts("delete", job_id):
            raise unknown_job(job_id)

    @translates_redis_errors
    def check(self) -> None:
        """Raise QueueUnavailableError unless Redis answers and takes writes."""
        self._redis.set(keys.CHECK, "ok", ex=60)

    def _record(self, job_id: str) -> dict[str, str]:
        record = cast("dict[str, str]", self._redis.hgetall(keys.job(job_id)))
        if not record or not self._view.shows(record, job_id):
            raise unknown_job(job_id)
        return record

    def _require_shown(self, job_id: str) -> None:
        # A job never changes its tenant, so the answer is good for the next step.
        if not self._view.is_whole and not self._view.shows_tenant(
            cast("str | None", self._redis.hget(keys.job(job_id), "tenant"))
        ):
            raise unknown_job(job_id)
