"""The parts of a submission, as arguments of ``lua/submit.lua``."""

import secrets
import time
from dataclasses import dataclass
from hashlib import sha256

from pydantic_core import to_json

from jobs.callers.payer import Payer
from jobs.db import keys
from jobs.db.scripts import PREFIX
from jobs.errors import IdempotencyConflictError, QueueFullError
from jobs.queue.order import WEIGHTS, cost_of, flow_of
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.tasks import Task
from jobs.status.job import Job
from jobs.storage.job_files import BroughtFiles
from jobs.tracing import current_trace
from jobs.wire import dump_as_stored

IDEMPOTENCY_TTL_S = 24 * 3600


@dataclass(frozen=True)
class Submission:
    """A job that was accepted now, or earlier under the same idempotency key."""

    job: Job
    replayed: bool


@dataclass(frozen=True)
class QueueLimits:
    """The limits of all jobs together.

    Attributes:
        queued: of waiting jobs.
        kept_bytes: of the size of all jobs in Redis, ended ones included; 0 for none.
        kept_file_bytes: of the size of all files that were sent for them; 0 for none.
    """

    queued: int
    kept_bytes: int = 0
    kept_file_bytes: int = 0

    @property
    def kept(self) -> tuple[int, int]:
        """Those of bytes."""
        return self.kept_bytes, self.kept_file_bytes

    def require_accepted(self, outcome: str) -> None:
        """Raise the error that an outcome of ``lua/submit.lua`` means, unless the job was accepted."""
        if outcome == "full":
            raise QueueFullError(f"{self.queued} jobs are waiting already, and no more are accepted")
        if outcome in {"heavy", "laden"}:
            is_heavy = outcome == "heavy"
            most = self.kept_bytes if is_heavy else self.kept_file_bytes
            raise QueueFullError(
                f"the {'jobs' if is_heavy else 'files of the jobs'} that are kept take as many bytes as they may, "
                f"{most}; try again when some have ended, or delete some"
            )
        if outcome == "conflict":
            raise IdempotencyConflictError(
                "this idempotency key was used with a different request", field="Idempotency-Key"
            )


@dataclass(frozen=True)
class Presentation:
    """How answers show a job, where its caller speaks another service's dialect.

    Attributes:
        prediction_base: address of this server, to send the webhook a prediction as Replicate does; if empty, the
            webhook gets the job.
        picture_suffix: end of the pictures' addresses in predictions, such as ``.webp?quality=80``.
        notes: what in the request has no effect here, a sentence of one line each. They become the job's first notes.
    """

    prediction_base: str = ""
    picture_suffix: str = ""
    notes: tuple[str, ...] = ()


NATIVE = Presentation()


def new_job_id() -> str:
    """An id that no other job has; those of later jobs sort after it, which decides between equal tags."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"


def key_fields(
    key: str | None, owner: str, body: GenerateRequest | ResolvedRequest | Task, tenant: str = ""
) -> tuple[str, str, int]:
    """The place of an idempotency key (empty without one), the digest that it is bound to, and its time to live."""
    # Without defaults, so that a version which adds a field still knows the keys of the version before.
    digest = sha256(to_json(dump_as_stored(body))).hexdigest()
    return _place_of_key(key, keys.of_tenant(owner, tenant)), digest, IDEMPOTENCY_TTL_S


def order_fields(
    resolved: ResolvedRequest | Task, caller: str, tenant: str = "", weight: float = 1.0
) -> tuple[str, str, int]:
    """The fields of the queue's order: the job's flow, the flow's weight, its cost."""
    priority = resolved.priority
    flow = flow_of(keys.of_tenant(caller, tenant), priority)
    return flow, f"{WEIGHTS[priority] * weight:g}", cost_of(resolved)


def webhook_fields(request: GenerateRequest | None) -> tuple[str, str]:
    """The webhook's address and its events; both empty without one."""
    webhook = None if request is None else request.webhook
    return ("", "") if webhook is None else (str(webhook.url), ",".join(webhook.events))


def presentation_fields(presentation: Presentation) -> tuple[str, str, str]:
    """The address in predictions, the end of the pictures' addresses, and the notes; each may be empty."""
    return presentation.prediction_base, presentation.picture_suffix, "\n".join(presentation.notes)


def file_fields(files: BroughtFiles) -> tuple[int, int]:
    """Bytes of the uploads, which go at the job's end, and of the pictures that it keeps."""
    return files.uploads_bytes, files.inputs_bytes


def charge_fields(resolved: ResolvedRequest | Task, payer: Payer) -> tuple[int, str, str, str, str]:
    """The number of pictures that the job makes, its accounts, its kind, its preset and its place in a trace, or ''."""
    if not isinstance(resolved, ResolvedRequest):
        return 0, payer.dump(), resolved.kind, "", current_trace()
    pictures = resolved.num_images if resolved.select is None else resolved.select.keep
    preset = resolved.guidance.preset if resolved.guidance else ""
    return pictures, payer.dump(), "generate", preset, current_trace()


def _place_of_key(key: str | None, owner: str) -> str:
    """The key in Redis after its prefix. All anonymous callers share theirs; every other has its own."""
    if not key:
        return ""
    digest = sha256(owner.encode()).hexdigest()[:32] if owner else ""
    return keys.idempotency(key, digest).removeprefix(PREFIX)
