"""Reads jobs of nights, whatever has become of their records."""

import structlog

from jobs.queue.queue import JobQueue
from jobs.status.job import Job
from jobs.status.records import UNREADABLE, at_fault

log = structlog.get_logger(__name__)


def read_job(queue: JobQueue, job_id: str) -> Job | None:
    """The job now; None if its record is damaged or of another version, which the log says.

    Raises:
        UnknownJobError: there is none of this id.
    """
    try:
        return queue.get(job_id)
    except UNREADABLE as error:
        log.warning("job of a night cannot be read", job=job_id, reason=at_fault(error))
        return None
