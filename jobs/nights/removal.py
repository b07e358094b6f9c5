"""Deletes jobs of nights."""

from contextlib import suppress

from jobs.errors import UnknownJobError
from jobs.queue.queue import JobQueue
from jobs.storage.job_files import JobFiles


def delete_job(queue: JobQueue, files: JobFiles, job_id: str) -> None:
    """Delete a job in any status, and its files; one that is not there is fine.

    Raises:
        OSError: the store cannot be reached.
    """
    try:
        job = queue.get(job_id)
    except UnknownJobError:
        return
    with suppress(UnknownJobError):
        files.delete_before(job_id, queue.delete, may_grow=not job.status.is_terminal)
