"""Times as Redis keeps them."""

from datetime import UTC, datetime


def instant(microseconds: int) -> datetime:
    """A time of the server's clock."""
    return datetime.fromtimestamp(microseconds / 1e6, tz=UTC)
