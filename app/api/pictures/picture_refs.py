"""Pictures of finished jobs as clients name them: a job's id for all of its pictures, or ``id/index`` for one."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import WithJsonSchema

from jobs.errors import InvalidRequestError, JobNotFinishedError, UnknownImageError
from jobs.queue.queue import JobQueue

_PATTERN = r"^(?:/v1/jobs/)?([0-9a-f]{1,64})(?:/(?:images/)?([0-9]{1,4}))?$"
_REF = re.compile(_PATTERN)

# ``find_pictures`` parses it, since its error explains the form; that of a pattern would not.
Ref = Annotated[str, WithJsonSchema({"type": "string", "pattern": _PATTERN})]


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
    job = queue.get(parts[1])
    if not job.status.is_terminal:
        raise JobNotFinishedError(
            f"job {job.id} is {job.status}; its pictures can be used once it has succeeded"
        )
    keys = {stored.index: stored.key for stored in queue.images(job.id)}
    if parts[2] is None and keys:
        return list(keys.values())
    if parts[2] is None or int(parts[2]) not in keys:
        raise UnknownImageError(f"job {job.id} has {job.status} and has no such picture: {ref[:80]!r}")
    return [keys[int(parts[2])]]
