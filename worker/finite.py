"""Networks that overflow output infinities or NaN. No picture, score or embedding that holds one is a result."""

import math

from torch import Tensor

from jobs.errors import JobFailedError


def is_finite(value: Tensor | float | None) -> bool:
    """Whether all numbers of a value are finite; true for None."""
    if value is None:
        return True
    return bool(value.isfinite().all()) if isinstance(value, Tensor) else math.isfinite(value)


def require_finite(value: Tensor | float | None, what: str, *, after: str) -> None:
    """Fail the job if a value is not finite.

    Args:
        value: a number, a tensor or None.
        what: its name, for a person: "picture 0".
        after: the last operation: "decoding".

    Raises:
        JobFailedError: it is not finite.
    """
    if not is_finite(value):
        raise JobFailedError(f"{what} is not finite after {after}")
