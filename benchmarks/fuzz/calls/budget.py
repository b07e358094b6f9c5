"""The remaining time of a part of a run."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Budget:
    """A time that ends."""

    seconds: float
    start: float = field(default_factory=time.monotonic)

    def is_spent(self) -> bool:
        """Whether it has ended."""
        return time.monotonic() >= self.start + self.seconds

    def share(self, part: float) -> "Budget":
        """A part of the whole, from now on."""
        return Budget(self.seconds * part)
