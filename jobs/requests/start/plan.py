"""The steps of a run: how many are planned, and at which of them it starts."""

from dataclasses import dataclass

MAX_STEPS = 250


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
