"""The speed of this worker, in the units of ``jobs.queue.order.cost_of``."""

import math
import time

REMEMBERED_S = 60.0  # the weight of the past falls to 1/e in this time
WORTH_TELLING_S = 2.0  # of work before the first speed


class Throughput:
    """The mean speed over recent time with work. For one thread."""

    def __init__(self) -> None:
        self._units = 0.0
        self._seconds = 0.0
        self._busy = 0.0
        self._noted_at = time.monotonic()

    def note(self, units: float, *, busy: bool) -> None:
        """Add the work since the last note.

        Args:
            units: of work done.
            busy: whether there was a job; time without one does not count.
        """
        now = time.monotonic()
        elapsed, self._noted_at = now - self._noted_at, now
        kept = math.exp(-elapsed / REMEMBERED_S)
        self._busy = self._busy * kept + busy * (1 - kept)
        if busy:
            self._units = self._units * kept + units
            self._seconds = self._seconds * kept + elapsed
        else:
            self._units += units

    @property
    def speed(self) -> float | None:
        """Units a second; None before there was enough work."""
        return self._units / self._seconds if self._seconds >= WORTH_TELLING_S and self._units > 0 else None

    @property
    def busy_share(self) -> float:
        """Share of the recent past in which there was work, from 0 to 1."""
        return self._busy
