"""Networks that overflow answer infinities or NaN. No picture, score or embedding that holds one is a result."""

import math

from torch import Tensor

from jobs.errors import JobFailedError


def is_finite(value: Tensor | float | None) -> bool:
    """Whether it holds nothing but finite numbers; None holds none."""
    if value is None:
        return True
    return bool(value.isfinite().all()) if isinstance(value, Tensor) else math.isfinite(value)


def require_finite(value: Tensor | float | None, what: str, *, after: str) -> None:
    """Let a job end where its numbers do.

    Args:
        value: what has to be finite.
        what: whose it is, for people: "picture 0".
        after: what was done last: "decoding".

    Raises:
        JobFailedError: it is not finite.
    """
    if not is_finite(value):
        raise JobFailedError(f"{what} is not finite after {after}")
