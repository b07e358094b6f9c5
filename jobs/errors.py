"""The errors of callers and jobs, one class each, with a stable machine-readable type."""

from typing import ClassVar


class LodestarError(Exception):
    """Base of all errors that have a meaning outside the code that raised them."""

    type: ClassVar[str] = "error"

    def __init__(self, message: str, *, field: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s


class InvalidRequestError(LodestarError):
    """A field of the request has a value that cannot be served."""

    type = "invalid_request"


class UnknownModelError(LodestarError):
    """The request names a model or CLIP that the catalog does not hold."""

    type = "unknown_model"


class UnknownJobError(LodestarError):
    """No job has this id: it never existed, was deleted, or has expired."""

    type = "unknown_job"


def unknown_job(job_id: str) -> UnknownJobError:
    """The error of a job that is not there, or that the sender may not see: word for word the same."""
    return UnknownJobError(f"there is no job {job_id!r}: it never existed, was deleted, or has expired")


class UnknownNightError(LodestarError):
    """No night has this id: it never existed, was deleted, or has expired."""

    type = "unknown_night"


class UnknownImageError(LodestarError):
    """The job has no picture of this number, or not yet."""

    type = "unknown_image"


class UnknownUploadError(LodestarError):
    """The caller has no upload of this id: it never existed, was deleted, or has expired."""

    type = "unknown_upload"


class UploadsFullError(LodestarError):
    """The caller, or all callers together, keep as many uploads as they may."""

    type = "uploads_full"


class JobNotFinishedError(LodestarError):
    """The job is still queued or running, and the operation needs a finished one."""

    type = "job_not_finished"


class JobNotWaitingError(LodestarError):
    """The job runs or has ended, and the operation needs one that waits."""

    type = "job_not_waiting"


class IdempotencyConflictError(LodestarError):
    """The idempotency key was used before with a different request body."""

    type = "idempotency_conflict"


class QueueFullError(LodestarError):
    """The queue holds as many waiting jobs as it may."""

    type = "queue_full"


class RateLimitedError(LodestarError):
    """The sender asks for more work, or more often, than its quota grants at present."""

    type = "rate_limited"


class QuotaExceededError(LodestarError):
    """The sender's quota for this month does not cover the job."""

    type = "quota_exceeded"


class QueueUnavailableError(LodestarError):
    """Redis cannot be reached, or refuses to write."""

    type = "queue_unavailable"


class ArtifactsUnavailableError(LodestarError):
    """The artifact store cannot be reached, is full, or refuses."""

    type = "artifacts_unavailable"


class UnknownEmbeddingError(LodestarError):
    """No aesthetic embedding has this name."""

    type = "unknown_embedding"


class NameTakenError(LodestarError):
    """An aesthetic embedding of this name exists, and jobs may rely on it."""

    type = "name_taken"


class UnknownKeyError(LodestarError):
    """No key of callers has this id."""

    type = "unknown_key"


class UnknownTenantError(LodestarError):
    """Nothing is set for a tenant of this name."""

    type = "unknown_tenant"


class UnknownPoolError(LodestarError):
    """No pool of workers has this name."""

    type = "unknown_pool"


class UnknownWorkerError(LodestarError):
    """No worker that is alive has this name."""

    type = "unknown_worker"


class NoImageTowerError(LodestarError):
    """The model's text encoder belongs to no CLIP of the catalog, so nothing compares its words with pictures."""

    type = "no_image_tower"


class SearchTimedOutError(LodestarError):
    """No worker has read the query in time."""

    type = "search_timed_out"


class LeaseLostError(LodestarError):
    """The job no longer belongs to this execution: it was canceled, deleted or given to another worker."""

    type = "lease_lost"


class JobFailedError(LodestarError):
    """The job cannot succeed, now or on another attempt; its owner gets the reason."""

    type = "job_failed"


class InvalidFileError(JobFailedError):
    """A file that was given (a picture, an embedding, a predictor) is damaged, too large, or of another kind."""

    type = "invalid_file"


class ClipMismatchError(JobFailedError):
    """An embedding of one CLIP is to be used with another, whose space has nothing in common with it."""

    type = "clip_mismatch"


class ContentBlockedError(JobFailedError):
    """The operator's safety policy refuses the prompt, or withholds every picture."""

    type = "content_blocked"


class ModerationUnavailableError(LodestarError):
    """The service that judges prompts cannot be reached, and without its word none is taken."""

    type = "moderation_unavailable"


class MissingExtraError(JobFailedError):
    """The request needs a part that this installation lacks."""

    type = "missing_extra"


class DeadlineExceededError(JobFailedError):
    """The job ran longer than its ``timeout_s``."""

    type = "deadline_exceeded"


class OutOfMemoryError(JobFailedError):
    """The job does not fit the device's memory, even alone."""

    type = "out_of_memory"


class ModelUnavailableError(JobFailedError):
    """The model's files are missing, damaged, or of a kind that is refused."""

    type = "model_unavailable"


class AttemptsExhaustedError(JobFailedError):
    """Every allowed attempt ended with the loss of its worker."""

    type = "attempts_exhausted"


class DeviceLostError(LodestarError):
    """The worker's device fails every call from here on, so the process has to end."""

    type = "device_lost"


class JobCanceledError(LodestarError):
    """The job that a call waited for was canceled, or the caller has hung up."""

    type = "job_canceled"


class StoppingError(LodestarError):
    """The server stops, and can wait for the job no longer."""

    type = "stopping"


class ConfigurationError(LodestarError):
    """A setting or a file that a process needs at its start is wrong or missing."""

    type = "configuration"
