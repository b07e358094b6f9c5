"""Deletes jobs of nights."""

from contextlib import suppress

from jobs.errors import UnknownJobError
from jobs.queue.queue import JobQueue
from jobs.storage.job_files import JobFiles


def delete_job(queue: JobQueue, files: JobFiles, job_id: str, *, has_ended: bool) -> None:
    """Delete a job in any status, and its files; one that is not there is fine.

    Nothing reads its record, so that a damaged one is deleted too.

    Args:
        queue: as the sender of the night sees it.
        files: of the jobs.
        job_id: of the job.
        has_ended: whether the job is known to have ended; else a worker may store files until it is deleted.

    Raises:
        OSError: the store cannot be reached.
    """
    with suppress(UnknownJobError):
        files.delete_before(job_id, queue.delete, may_grow=not has_ended)
