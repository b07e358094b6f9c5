"""Pictures of finished jobs as clients name them: a job's id for all of its pictures, or ``id/index`` for one."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import WithJsonSchema

from jobs.errors import InvalidRequestError, JobNotFinishedError, UnknownImageError
from jobs.queue.queue import JobQueue
from jobs.requests.pictures import REF_PATTERN, OfJob

_REF = re.compile(REF_PATTERN)

# ``find_pictures`` parses it, since its error explains the form; that of a pattern would not.
Ref = Annotated[str, WithJsonSchema({"type": "string", "pattern": REF_PATTERN})]


def find_pictures(refs: Iterable[str], queue: JobQueue, field: str) -> list[str]:
    """Keys of the named pictures in the artifact store.

    Raises:
        InvalidRequestError: this names no picture.
        UnknownJobError: there is no such job.
        JobNotFinishedError: it has not succeeded yet.
        UnknownImageError: it has no picture of this number.
    """
    return [key for ref in refs for key in _find(ref, queue, field)]


def _find(ref: str, queue: JobQueue, field: str) -> list[str]:
    parts = _REF.fullmatch(ref)
    if parts is None:
        raise InvalidRequestError(
            f"{ref[:80]!r} is neither the id of a job nor id/index of one of its pictures", field=field
        )
    index = None if parts[2] is None else int(parts[2])
    return _keys(parts[1], index, ref[:80], queue, field)


def find_picture(picture: OfJob, queue: JobQueue, field: str) -> str:
    """Key of one picture in the artifact store; errors as for ``find_pictures``."""
    (key,) = _keys(picture.job_id, picture.index, f"{picture.job_id}/{picture.index}", queue, field)
    return key


def all_pictures(job_id: str, queue: JobQueue) -> list[str]:
    """Keys of all pictures of a job in the artifact store; errors as for ``find_pictures``."""
    return _keys(job_id, None, job_id, queue, "job_id")


def _keys(job_id: str, index: int | None, ref: str, queue: JobQueue, field: str) -> list[str]:
    job = queue.get(job_id)
    if not job.status.is_terminal:
        raise JobNotFinishedError(
            f"job {job.id} is {job.status}; its pictures can be used once it has succeeded", field=field
        )
    keys = {stored.index: stored.key for stored in queue.images(job.id)}
    if index is None and keys:
        return list(keys.values())
    if index is None or index not in keys:
        raise UnknownImageError(
            f"job {job.id} has {job.status} and has no such picture: {ref!r}", field=field
        )
    return [keys[index]]
