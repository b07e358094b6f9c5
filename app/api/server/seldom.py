"""A rate limit for log lines about frequent events."""

import time

EVERY_S = 60.0


class Seldom:
    """Allows one line in ``EVERY_S`` seconds."""

    def __init__(self) -> None:
        self._told_at = float("-inf")

    def is_due(self) -> bool:
        """Whether to log this time."""
        now = time.monotonic()
        if now - self._told_at < EVERY_S:
            return False
        self._told_at = now
        return True
