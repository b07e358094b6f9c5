"""What is left of the sender's quotas, in the headers of the answer to a submission.

``RateLimit-Policy`` and ``RateLimit`` are those of draft-ietf-httpapi-ratelimit-headers-11: structured fields by
RFC 9651.
"""

from collections.abc import Sequence

from fastapi import Request
from starlette.responses import Response

from jobs.queue.standing import Allowance


def note_allowances(request: Request, allowances: Sequence[Allowance]) -> None:
    """Remember them for the answer; of several submissions of a request the last one's count."""
    request.state.allowances = allowances


def tell_allowances(request: Request, response: Response) -> None:
    """Put them into the headers of an answer, if the request has submitted something under quotas."""
    # The draft's limits are granted anew by time, as the number of waiting jobs is not.
    timed = [each for each in getattr(request.state, "allowances", ()) if each.window_s is not None]
    if timed:
        response.headers["RateLimit-Policy"] = ", ".join(
            f"{_name(each)};q={each.most};w={each.window_s}" for each in timed
        )
        response.headers["RateLimit"] = ", ".join(
            f"{_name(each)};r={each.remaining};t={round(each.reset_s or 0)}" for each in timed
        )


def _name(allowance: Allowance) -> str:
    return f'"{allowance.holder}-{allowance.limit}"'
