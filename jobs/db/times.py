"""Times as Redis keeps them."""

import time
from datetime import UTC, datetime


def instant(microseconds: int) -> datetime:
    """A time of the server's clock."""
    return datetime.fromtimestamp(microseconds / 1e6, tz=UTC)


def now_us() -> int:
    """This machine's time; Redis' clock may differ a little."""
    return time.time_ns() // 1000
