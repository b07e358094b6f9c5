"""Paths of a job's resources: the only HTTP paths that ``jobs`` knows. The routes of the API serve them.

A proxy may put the service under a prefix. The server of a request enters ``placed_under`` with that prefix; paths
written meanwhile, in threads and streams too, begin with it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_prefix: ContextVar[str] = ContextVar("prefix", default="")

# No host, no empty segment, and nothing that would have to be quoted in a page.
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")


def is_prefix(text: str) -> bool:
    """Whether this is a valid prefix: segments of plain characters, none of them ``.`` or ``..``."""
    return bool(_PREFIX.fullmatch(text)) and not {".", ".."} & set(text.split("/"))


@contextmanager
def placed_under(prefix: str) -> Iterator[None]:
    """Within the block, and in the tasks that it starts, paths begin with this prefix; empty for none."""
    token = _prefix.set(prefix)
    try:
        yield
    finally:
        _prefix.reset(token)


def here(path: str) -> str:
    """A path of this service as its reader reaches it."""
    return _prefix.get() + path


def job(job_id: str) -> str:
    """Path of a job, without the prefix."""
    return f"/v1/jobs/{job_id}"


def night(night_id: str) -> str:
    """Path of a night, without the prefix."""
    return f"/v1/nights/{night_id}"


def cancel(job_id: str) -> str:
    """Path that cancels a job, without the prefix."""
    return f"{job(job_id)}/cancel"


def events(job_id: str) -> str:
    """Path of a job's events, without the prefix."""
    return f"{job(job_id)}/events"


def image(job_id: str, index: int) -> str:
    """Path of a picture, without the prefix."""
    return f"{job(job_id)}/images/{index}"


def control_map(job_id: str, number: int) -> str:
    """Path of the map that a control has read, without the prefix."""
    return f"{job(job_id)}/maps/{number}"


def signed_images(job_id: str) -> str:
    """Path under which a job's pictures need no key but a signature, without the prefix."""
    return f"/v1/signed-images/{job_id}"


def signed_image(job_id: str, index: int) -> str:
    """Path of such a picture, before its suffix and its signature, without the prefix."""
    return f"{signed_images(job_id)}/{index}"


def preview(job_id: str, index: int, step: int) -> str:
    """Path of a preview, without the prefix; the step makes a new address of each, which caches need."""
    return f"{job(job_id)}/previews/{index}?step={step}"
