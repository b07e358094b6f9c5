"""The answer to a submission: the job's address, and with ``Prefer: wait=N`` (RFC 7240) the ended job."""

import re
from typing import Annotated

from fastapi import Header, Request, Response

from app.api.following.waiting import await_end
from jobs.errors import LodestarError
from jobs.status.job import Job

MAX_WAIT_S = 60
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?=[,;]|$)", re.IGNORECASE)

Prefer = Annotated[
    str | None,
    Header(
        description="`wait=N` holds the answer back until the job has ended, for N seconds at most, up to 60.",
        examples=["wait=30"],
    ),
]


def preferred_wait_s(prefer: str | None) -> int | None:
    """Seconds that a Prefer header asks to wait, 60 at most; None if it does not ask to."""
    found = _WAIT.search(prefer or "")
    return min(int(found[1]), MAX_WAIT_S) if found else None


async def answer_accepted(request: Request, response: Response, job: Job, prefer: str | None) -> Job:
    """The job as the answer to its submission: 202, or 200 if it has ended within the client's wait."""
    response.headers["Location"] = job.urls["self"]
    response.status_code = 202
    if (wait_s := preferred_wait_s(prefer)) is not None:
        job = await await_end_if_possible(request, job, wait_s)
        response.headers["Preference-Applied"] = f"wait={wait_s}"
        response.status_code = 200 if job.status.is_terminal else 202
    return job


async def await_end_if_possible(request: Request, job: Job, timeout_s: float) -> Job:
    """``await_end`` for a preference: an error that ends the wait early still answers with the accepted job."""
    try:
        return await await_end(request, job, timeout_s=timeout_s, on_hang_up="leave")
    except LodestarError:
        return job
