"""What may happen a thousand times a second and need be told only now and then."""

import time

EVERY_S = 60.0


class Seldom:
    """Says yes at most once in ``EVERY_S`` seconds."""

    def __init__(self) -> None:
        self._told_at = float("-inf")

    def is_due(self) -> bool:
        """Whether to tell it this time."""
        now = time.monotonic()
        if now - self._told_at < EVERY_S:
            return False
        self._told_at = now
        return True
