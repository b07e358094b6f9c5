"""The job queue as a worker sees it: claim, keep, give back, commit.

A claimed job is leased: unless its worker renews the lease, the reaper gives the job to another one. Every claim has a
fence of its own, and every later step names that fence, so a worker that was given up and comes back changes nothing.
A step that is repeated because its answer was lost changes nothing either, and gets the same answer.
"""

import secrets
from dataclasses import dataclass
from enum import StrEnum

import structlog
from pydantic import ValidationError
from redis import Redis

from jobs.candidates import field_of
from jobs.errors import LeaseLostError, LodestarError
from jobs.records import dump_images
from jobs.request import ResolvedRequest
from jobs.scripts import Scripts
from jobs.state import JobError, JobStatus, Progress, StoredImage
from jobs.tasks import Task, TaskResult, drawing_of, read_request
from jobs.tickets import Tickets

LEASE_S = 15.0

log = structlog.get_logger(__name__)


class Standing(StrEnum):
    """What a worker learns when it renews a lease."""

    HELD = "held"
    CANCELED = "canceled"
    LOST = "lost"


@dataclass(frozen=True)
class Lease:
    """One execution of one job."""

    job_id: str
    fence: str
    request: ResolvedRequest | Task

    @property
    def drawing(self) -> ResolvedRequest:
        """The request of a job that draws; TypeError for the others."""
        return drawing_of(self.request)

    @property
    def artifact_prefix(self) -> str:
        """Where this execution keeps its pictures: never the place of another execution of the same job."""
        return f"{self.job_id}/{self.fence}"


class Leases:
    """Claims jobs and settles them."""

    def __init__(self, redis: Redis, *, worker: str, lease_s: float = LEASE_S) -> None:
        self._scripts = Scripts(redis)
        self._tickets = Tickets(redis)
        self._worker = worker
        self._lease_ms = int(lease_s * 1000)

    def claim(self, job_id: str) -> Lease | None:
        """Take a waiting job; None when it no longer waits (canceled, or another worker has it).

        None also for a request that this version cannot read: the job goes on waiting, for a newer worker.
        """
        answer = self._scripts("claim", job_id, self._worker, self._lease_ms, secrets.token_hex(4))
        if not answer:
            return None
        fence, request = answer
        try:
            return Lease(job_id, fence, read_request(request))
        except ValidationError as error:
            # Without a ticket: the reaper writes one after its grace, which keeps old workers from spinning on it.
            self._scripts("release", job_id, fence)
            log.warning("request of another version left waiting", job=job_id, reason=str(error))
            return None

    def renew(self, lease: Lease, progress: Progress | None = None) -> Standing:
        """Keep the job for another lease, and record its progress."""
        fields: list[str | int | float] = []
        if progress is not None:
            fields = ["step", progress.step, "steps", progress.steps]
            if progress.eta_s is not None:
                fields += ["eta_s", progress.eta_s]
        return Standing(self._scripts("renew", lease.job_id, lease.fence, self._lease_ms, *fields))

    def succeed(self, lease: Lease, images: tuple[StoredImage, ...]) -> JobStatus:
        """Publish the pictures; the status that the job entered (canceled, when that was asked for first).

        Raises:
            LeaseLostError: the job belongs to another execution now, or is gone.
        """
        return self._commit(lease, JobStatus.SUCCEEDED, "images", dump_images(images))

    def show(self, lease: Lease, image: StoredImage) -> Standing:
        """Let everyone see a candidate that a choosing job has made."""
        return Standing(
            self._scripts(
                "renew", lease.job_id, lease.fence, self._lease_ms, field_of(image), image.model_dump_json()
            )
        )

    def answer(self, lease: Lease, result: TaskResult) -> JobStatus:
        """End a job that makes no picture with what came of it.

        Raises:
            LeaseLostError: as for ``succeed``.
        """
        return self._commit(lease, JobStatus.SUCCEEDED, "result", result.model_dump_json())

    def fail(self, lease: Lease, error: LodestarError) -> JobStatus:
        """End the job with the reason, for good.

        Raises:
            LeaseLostError: as for ``succeed``.
        """
        reason = JobError(type=error.type, message=error.message)
        return self._commit(lease, JobStatus.FAILED, "error", reason.model_dump_json())

    def cancel(self, lease: Lease) -> JobStatus:
        """End a job that was told to stop.

        Raises:
            LeaseLostError: as for ``succeed``.
        """
        return self._commit(lease, JobStatus.CANCELED, "", "")

    def release(self, lease: Lease) -> None:
        """Give the job back to the queue, at its old place, without charging the attempt."""
        if self._scripts("release", lease.job_id, lease.fence) == JobStatus.QUEUED:
            self._tickets.write(lease.job_id, again=True)

    def _commit(self, lease: Lease, status: JobStatus, field: str, value: str) -> JobStatus:
        answer = self._scripts("commit", lease.job_id, lease.fence, status, field, value)
        if answer == Standing.LOST:
            raise LeaseLostError(f"execution {lease.fence} no longer owns job {lease.job_id}")
        return JobStatus(answer)
