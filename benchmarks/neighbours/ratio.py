"""The neighbours' latencies beside a hostile job and beside a harmless one, compared."""

import statistics
from dataclasses import dataclass

BOUND = 1.3


@dataclass(frozen=True)
class Ratio:
    """The neighbours' latencies, and how they compare."""

    way: str
    harmless_s: float
    hostile_s: float
    ratio: float
    failed: int  # of the neighbours' jobs

    @property
    def is_within_bounds(self) -> bool:
        """Whether the hostile job cost the others no more than an ordinary one."""
        return self.failed == 0 and self.ratio <= BOUND


def compare(way: str, harmless_s: list[float], hostile_s: list[float], failed: int) -> Ratio:
    """The ratio of medians, of latencies measured in turn."""
    without, beside = statistics.median(harmless_s), statistics.median(hostile_s)
    return Ratio(way, without, beside, beside / without, failed)
