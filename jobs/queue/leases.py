"""The job queue as a worker sees it: claim, keep, release, commit.

A claimed job is leased: unless its worker renews the lease, the reaper gives the job to another one. Every claim has a
fence of its own, and every later step names that fence, so a worker that was given up and comes back changes nothing.
A repeated step, after a lost answer, changes nothing either, and gets the same answer.
"""

import secrets
from base64 import b64encode
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import structlog
from pydantic import ValidationError
from redis import Redis

from jobs.db.scripts import Scripts
from jobs.errors import LeaseLostError, LodestarError
from jobs.queue.attempts import give_up, release
from jobs.queue.parked import ParkedJobs
from jobs.queue.tickets import Tickets
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import Task, TaskResult, generation_of, read_request
from jobs.status.candidates import field_of
from jobs.status.job import JobError, JobStatus, Progress, StoredImage
from jobs.status.records import at_fault, dump_images

LEASE_S = 10.0
MODEL_PATIENCE_S = 3.0  # how long a job waits for a worker that holds its model before any worker may load it
REJECTED_KEPT_S = 960  # of which the last minute is for the clocks of those who offer them
PREVIEW_TTL_S = 600  # for one whose job goes on; a minute after its end they are gone

# Id, fence, request, whether alone, tenant, trace, state: see ``lua/claim.lua``.
_Claimed = tuple[str, str, str, int, str, str, str]

log = structlog.get_logger(__name__)


class Standing(StrEnum):
    """The answer to the renewal of a lease."""

    HELD = "held"
    CANCELED = "canceled"
    LOST = "lost"


@dataclass(frozen=True)
class Lease:
    """One execution of one job.

    Attributes:
        job_id: of the job.
        fence: of this execution alone.
        request: of the job.
        alone: whether the job is quarantined: its last worker may have died of it, so this one holds no other.
        tenant: of the job; empty for the default one.
        trace: the place of its submission in a trace, see ``jobs.queue.fleet.traces``; empty without one.
        state: file of the state that another worker has left, under the job's key; empty without one.
    """

    job_id: str
    fence: str
    request: ResolvedRequest | Task
    alone: bool = False
    tenant: str = ""
    trace: str = ""
    state: str = ""

    @property
    def generation(self) -> ResolvedRequest:
        """The request of a job that generates pictures; TypeError for a task."""
        return generation_of(self.request)

    @property
    def artifact_prefix(self) -> str:
        """Prefix of this execution's keys in the artifact store; each execution has its own."""
        return f"{self.job_id}/{self.fence}"


class Leases:
    """Claims jobs and settles them; with ``serves``, those of these models and CLIPs alone."""

    def __init__(
        self,
        redis: Redis,
        *,
        worker: str,
        lease_s: float = LEASE_S,
        model_patience_s: float = MODEL_PATIENCE_S,
        serves: Sequence[str] = (),
    ) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._tickets = Tickets(redis)
        self._worker = worker
        self._lease_ms = int(lease_s * 1000)
        self._patience_ms = int(model_patience_s * 1000)
        self._serves = tuple(serves)
        self._parked = ParkedJobs(redis)

    def claim_next(self, models: Sequence[str] = ()) -> Lease | None:
        """Claim the next job in the queue's order; None when this worker can take none now.

        Args:
            models: ids in the worker's memory. A job of another model is left for a few seconds to a worker that holds
                that model, or while other jobs wait.
        """
        while answer := self._claim(models, self._parked.readable()):
            lease = self._read(*answer)
            if lease is not None:
                return lease
        return None

    def _claim(self, models: Collection[str], readable: Collection[str]) -> _Claimed | None:
        answer: _Claimed | None = self._scripts(
            "claim",
            self._worker,
            self._lease_ms,
            secrets.token_hex(4),
            self._patience_ms,
            len(models),
            *models,
            len(self._serves),
            *self._serves,
            *readable,
        )
        return answer

    def _read(self, job_id: str, fence: str, request: str, alone: int, *told: str) -> Lease | None:
        try:
            return Lease(job_id, fence, read_request(request), bool(alone), *told)
        except ValidationError as error:
            # Out of the queue, so that no worker of this version claims it again and none behind it waits.
            release(self._scripts, job_id, fence=fence, place="parked")
            log.warning("request of another version parked", job=job_id, reason=at_fault(error))
            return None

    def renew(self, lease: Lease, progress: Progress | None = None) -> Standing:
        """Extend the lease, and record the job's progress."""
        return self.renew_all([(lease, progress)])[0]

    def renew_all(self, held: Sequence[tuple[Lease, Progress | None]]) -> list[Standing]:
        """Extend the leases of a worker in one step; None instead of progress is no news."""
        arguments = [
            part for lease, progress in held for part in (lease.job_id, lease.fence, *_fields(progress))
        ]
        return [Standing(answer) for answer in self._scripts("renew_many", self._lease_ms, *arguments)]

    def preview(self, lease: Lease, index: int, step: int, jpeg: bytes) -> None:
        """Publish a preview of picture ``index``, in place of the one before."""
        data = b64encode(jpeg).decode()
        fields = ("preview", "index", index, "step", step)
        self._scripts("note", lease.job_id, lease.fence, index, data, PREVIEW_TTL_S, *fields)

    def log(self, lease: Lease, message: str, *, level: Literal["info", "warning"] = "info") -> None:
        """Send the job's followers a log line."""
        fields = ("log", "level", level, "message", message)
        self._scripts("note", lease.job_id, lease.fence, "", "", 0, *fields)

    def note(self, lease: Lease, sentence: str) -> None:
        """Keep a sentence with the job, and send it to the job's followers; once, however often the job starts."""
        self._scripts("remark", lease.job_id, lease.fence, sentence)

    def succeed(self, lease: Lease, images: tuple[StoredImage, ...]) -> JobStatus:
        """Publish the pictures; the status that the job entered (canceled, if a cancel came first).

        Raises:
            LeaseLostError: the job belongs to another execution now, or is gone.
        """
        return self._commit(lease, JobStatus.SUCCEEDED, "images", dump_images(images))

    def reject(self, lease: Lease, keys: Iterable[str]) -> None:
        """Delete the files of the candidates that were not chosen, by their keys, a while from now: see ``Rescue``."""
        self._scripts("reject", lease.job_id, lease.fence, REJECTED_KEPT_S, *keys)

    def show(self, lease: Lease, image: StoredImage) -> None:
        """Publish a candidate of a best-of-n job."""
        known = {
            "index": image.index,
            "seed": image.seed,
            "clip_score": image.clip_score,
            "aesthetic_score": image.aesthetic_score,
        }
        pairs = [part for name, value in known.items() if value is not None for part in (name, value)]
        # Every look at the job reads all of its candidates: no trace of hundreds of steps for each.
        record = image.model_dump_json(exclude={"trace"}, exclude_none=True)
        self._scripts("show", lease.job_id, lease.fence, field_of(image), record, *pairs)

    def answer(self, lease: Lease, result: TaskResult) -> JobStatus:
        """End a task with its result.

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
        """End a job whose cancel was requested.

        Raises:
            LeaseLostError: as for ``succeed``.
        """
        return self._commit(lease, JobStatus.CANCELED, "", "")

    def release(self, lease: Lease, state: tuple[str, Progress] | None = None) -> None:
        """Let the job wait again, at its old place, without charging the attempt.

        A job that was started too often fails instead, unless the execution leaves a ``state``, as for ``attempts``.
        """
        if release(self._scripts, lease.job_id, fence=lease.fence, state=state) == JobStatus.QUEUED:
            self._tickets.write(lease.job_id, again=True)

    def surrender(self, lease: Lease) -> None:
        """Give the job up because its worker is unfit to go on: as after the worker's death, but at once.

        An attempt is charged only if the worker held no other job; see ``lua/recover.lua``.
        """
        if give_up(self._scripts, lease.job_id, fence=lease.fence) == JobStatus.QUEUED:
            self._tickets.write(lease.job_id, again=True)

    def _commit(self, lease: Lease, status: JobStatus, field: str, value: str) -> JobStatus:
        answer = self._scripts("commit", lease.job_id, lease.fence, status, field, value)
        if answer == Standing.LOST:
            raise LeaseLostError(f"execution {lease.fence} no longer owns job {lease.job_id}")
        return JobStatus(answer)


def _fields(progress: Progress | None) -> tuple[str | int | float, ...]:
    if progress is None:
        return "", "", ""
    return progress.step, progress.steps, "" if progress.eta_s is None else progress.eta_s
