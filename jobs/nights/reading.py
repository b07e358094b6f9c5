"""Reads jobs of nights, whatever has become of their records."""

import structlog
from pydantic import ValidationError

from jobs.queue.queue import JobQueue
from jobs.status.job import Job

log = structlog.get_logger(__name__)


def read_job(queue: JobQueue, job_id: str) -> Job | None:
    """The job now; None if its record is damaged or of another version, which the log says.

    Raises:
        UnknownJobError: there is none of this id.
    """
    try:
        return queue.get(job_id)
    # What a wrong value, a missing field and a value of another type are to whoever reads a record.
    except (ValueError, LookupError, TypeError) as error:
        log.warning("job of a night cannot be read", job=job_id, reason=_at_fault(error))
        return None


def _at_fault(error: Exception) -> str:
    """The fields at fault, without their values: a log is no place for prompts."""
    if not isinstance(error, ValidationError):
        return type(error).__name__
    return ", ".join(".".join(str(part) for part in each["loc"]) or each["type"] for each in error.errors())
