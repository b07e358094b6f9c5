"""The steps of a run: how many are planned, and at which of them it starts."""

from dataclasses import dataclass
from math import ceil

MAX_STEPS = 250
MIN_STRENGTH = 1 / MAX_STEPS
"""The least with which a step is run: of fewer steps, or of an exact number, even more is needed."""


@dataclass(frozen=True)
class StepPlan:
    """The steps of one picture.

    Attributes:
        planned: steps from pure noise to the finished picture, which place the noise levels.
        first: number of the first that is run. A run that starts from a picture skips those before.
    """

    planned: int
    first: int = 0

    @property
    def run(self) -> int:
        """Number of steps that are run."""
        return self.planned - self.first

    @property
    def indexes(self) -> range:
        """Numbers of the steps that are run."""
        return range(self.first, self.planned)


@dataclass(frozen=True)
class Pass:
    """A run through the noise schedule at one size. A picture takes one, or a second one with hires.

    Attributes:
        plan: its steps.
        width: in pixels.
        height: likewise.
    """

    plan: StepPlan
    width: int
    height: int


def least_strength(steps: int, *, exact: bool = False) -> float:
    """The smallest strength, in thousandths, with which one of so many planned steps is run.

    If so many exact steps are run: with which no more than 250 are planned.
    """
    return ceil(1000 * (steps / MAX_STEPS if exact else 1 / steps)) / 1000


def plan_from_picture(steps: int, strength: float, *, exact: bool) -> StepPlan:
    """The plan of a run that starts from a picture with noise on it.

    Args:
        steps: that were requested.
        strength: S, the share of the plan that is run, more than 0 and at most 1. At 1 the run starts at pure noise.
        exact: whether ``steps`` are run, of a longer plan. Otherwise ``steps`` are planned, and int(steps * S) of them
            run, as in diffusers.
    """
    # Double arithmetic and truncation as in diffusers, or the two differ at some strengths: int(100 * 0.29) is 28.
    if exact:
        planned = max(steps, int(steps / strength))
        return StepPlan(planned, planned - steps)
    return StepPlan(steps, steps - min(int(steps * strength), steps))
