"""The part of a run in which a condition counts."""

from typing import Protocol


class _Shares(Protocol):
    """Shares of the run, from 0 to 1."""

    @property
    def start(self) -> float:
        """Where the window begins."""

    @property
    def end(self) -> float:
        """Where it ends."""


class Windowed:
    """A condition with the fields ``start`` and ``end``."""

    def is_active(self: _Shares, step: int, steps: int) -> bool:
        """Whether it counts in a step, from 0, of a run of so many: in one that lies in its window wholly.

        The rule of diffusers' ControlNet pipelines.
        """
        return self.start <= step / steps and (step + 1) / steps <= self.end
