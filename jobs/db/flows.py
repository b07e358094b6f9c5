"""The callers that flows of the queue are named by; Redis does not hold their names."""

from collections.abc import Mapping

ANONYMOUS = "anonymous"
"""All callers that say no name."""
_DIGITS = 8


def caller_of(flow: str | None) -> str | None:
    """The beginning of the digest that a job's flow is named by, or ``anonymous``; None if it is not known."""
    name, _, _ = (flow or "").partition(":")
    return name[:_DIGITS] if name and name != ANONYMOUS else name or None


def named_caller(record: Mapping[str, str]) -> str | None:
    """The same of a job's record; None for an anonymous caller too."""
    caller = caller_of(record.get("flow"))
    return None if caller == ANONYMOUS else caller
