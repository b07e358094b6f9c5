"""The job queue as its callers see it: submit, get, cancel, delete."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Unpack, cast

from redis import Redis

from jobs.callers.payer import Payer, unlimited
from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import Scripts
from jobs.errors import unknown_job
from jobs.queue.listing.pages import JobPages
from jobs.queue.listing.wanted import Asked, Wanted
from jobs.queue.pace import Backlog, PaceBook
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
from jobs.status.job import Job, JobStatus, StoredImage
from jobs.status.lists import FailureList, JobPage
from jobs.status.records import load_images, to_job
from jobs.status.view import WHOLE, View
from jobs.storage.archive import JobArchive
from jobs.storage.job_files import NO_FILES, BroughtFiles
from jobs.tracing import traced_sending

HOLDERS_TRIED = 8  # jobs of which one may be deleted at any time


class JobQueue:
    """Durable jobs in Redis: every change is one atomic script. All raise QueueUnavailableError when Redis is away."""

    def __init__(
        self,
        redis: Redis,
        *,
        max_queued: int,
        max_kept_bytes: int = 0,
        max_kept_file_bytes: int = 0,
        replicas: int = 0,
        archive: JobArchive | None = None,
    ) -> None:
        """Make one.

        Args:
            redis: the server.
            max_queued: limit of waiting jobs.
            max_kept_bytes: limit of the size of all jobs in Redis, ended ones included; 0 for none.
            max_kept_file_bytes: limit of the size of all files that were sent for them; 0 for none.
            replicas: of the server that must have a job before it counts as accepted.
            archive: of the jobs that ended a while ago; without it, their records cannot be read.
        """
        self._redis, self._replicas, self._archive = redis, replicas, archive
        self._scripts, self._tickets = Scripts(redis), Tickets(redis)
        self._pace = pace = PaceBook(redis)
        self._pages = JobPages(redis, pace, archive=archive)
        self._limits = QueueLimits(max_queued, max_kept_bytes, max_kept_file_bytes)
        self._view, self._note = WHOLE, cast("Note", ignore)
        self._payer: Callable[[], Payer] | None = None

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
        seen._view, seen._pages = view, JobPages(self._redis, self._pace, view, self._archive)
        seen._payer, seen._note = payer, note
        return seen

    @translates_redis_errors
    def expect_files(self, job_id: str) -> None:
        """Announce files of a job before its submission; they are collected if it does not follow within minutes."""
        self._scripts("expect", job_id)

    @traced_sending
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
            original: the request as it came, without a drawn seed. The key is bound to it, and it holds the webhook.
            caller: its name. Callers get equal shares of the work, whatever each submits; anonymous ones are one.
            presentation: how answers show the job.
            job_id: from ``new_job_id``, for a job whose files are stored before it; else drawn here.
            files: of the job.

        Raises:
            QueueFullError: too many jobs wait, or all jobs together take too many bytes.
            RateLimitedError, QuotaExceededError: its payer's quota does not cover it now.
            IdempotencyConflictError: the key was used for another request.
        """
        owner, tenant = caller if key_owner is None else key_owner, self._view.tenant
        payer, new_id = self._payer() if self._payer else unlimited(tenant), job_id or new_job_id()
        order = order_fields(resolved, caller, tenant, payer.weight)
        (outcome, accepted_id, *charged), told = self._scripts.and_read(
            lambda pipeline: self._pace.ask_of(pipeline, new_id),
            self._replicas,
            "submit",
            new_id,
            dump_request(resolved),
            self._limits.queued,
            *key_fields(idempotency_key, owner, original or resolved, tenant),
            *order,
            resolved.model,
            *webhook_fields(original),
            *presentation_fields(presentation),
            *self._limits.kept,
            *file_fields(files),
            tenant,
            *charge_fields(resolved, payer),
            *self._tickets.first_of(new_id),
            *files.inputs,
        )
        self._limits.require_accepted(outcome)
        require_covered(payer, charged, order[-1], self._note)
        job = self._told(new_id, told) if accepted_id == new_id else self.get(accepted_id)
        if (is_replayed := outcome == "replayed") and job.status is JobStatus.QUEUED:
            self._tickets.write(accepted_id)  # the first may be lost, or was not written by an older version
        return Submission(job, is_replayed)

    @translates_redis_errors
    def get(self, job_id: str) -> Job:
        """The job now.

        Raises:
            UnknownJobError: there is none of this id, or the view does not show it.
        """
        with self._redis.pipeline(transaction=False) as pipeline:
            self._pace.ask_of(pipeline, job_id)
            return self._told(job_id, pipeline.execute())

    @translates_redis_errors
    def holders(self, digest: str) -> tuple[str, ...]:
        """Ids of some of the tenant's jobs that keep this picture; empty if none does."""
        place = keys.inputs(digest, self._view.tenant)
        return tuple(cast("list[str]", self._redis.srandmember(place, HOLDERS_TRIED)))

    @translates_redis_errors
    def backlog(self) -> Backlog:
        """The waiting jobs as a whole."""
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
    def list(self, *, cursor: str | None = None, limit: int = 50, **asked: Unpack[Asked]) -> JobPage:
        """One page of the jobs that are asked for; see ``JobPages.read`` and ``Wanted``."""
        return self._pages.read(Wanted.of(**asked), cursor, limit)

    @translates_redis_errors
    def failures(self, **asked: Unpack[Asked]) -> FailureList:
        """Why those of the jobs that are asked for have failed that did."""
        return self._pages.failures(Wanted.of(**asked))

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
        self._change("cancel", job_id)
        return self.get(job_id)

    @translates_redis_errors
    def delete(self, job_id: str) -> None:
        """Delete a job in any status.

        Raises:
            UnknownJobError: there is none of this id.
        """
        self._change("delete", job_id)

    @translates_redis_errors
    def check(self) -> None:
        """Raise QueueUnavailableError unless Redis answers and takes writes."""
        self._redis.set(keys.CHECK, "ok", ex=60)

    def _told(self, job_id: str, answers: Sequence[Any]) -> Job:
        record, position, eta_s = self._pace.read_of(answers)
        return to_job(job_id, self._shown(job_id, record), position, eta_s)

    def _record(self, job_id: str) -> dict[str, str]:
        return self._shown(job_id, cast("dict[str, str]", self._redis.hgetall(keys.job(job_id))))

    def _shown(self, job_id: str, record: dict[str, str]) -> dict[str, str]:
        """The whole record of a job that the view shows."""
        if not record or not self._view.shows(record, job_id):
            raise unknown_job(job_id)
        return self._archive.whole(job_id, record) if self._archive else record

    def _change(self, script: str, job_id: str) -> None:
        # A job never changes its tenant.
        tenant = None if self._view.is_whole else self._redis.hget(keys.job(job_id), "tenant")
        if not self._view.shows_tenant(cast("str | None", tenant)) or not self._scripts(script, job_id):
            raise unknown_job(job_id)
