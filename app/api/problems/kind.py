"""What a kind of error is, and the HTTP codes that other modules ask for."""

from dataclasses import dataclass

NOT_READY = 503
TOO_LARGE = 413
TIMED_OUT = 408
UNAUTHENTICATED = 401


@dataclass(frozen=True)
class Kind:
    """A kind of error.

    ``retry_after_s`` is for errors that know no better; what ``is_lasting`` passes, but not while a client waits.
    """

    name: str
    status: int
    title: str
    explanation: str
    retry_after_s: int | None = None
    is_lasting: bool = False
