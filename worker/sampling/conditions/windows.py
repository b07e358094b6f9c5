"""Tells the rows of a run of conditions that count in a part of it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from jobs.requests.request import ResolvedRequest
from worker.rows import Row
from worker.sampling.conditions.conditioning import Conditions


class Windowed(Protocol):
    """A condition that counts in a part of the run."""

    def is_active(self, step: int, steps: int) -> bool:
        """Whether it counts in a step, from 0, of a run of so many."""


Tell = Callable[[Row, int, bool], Row]


def by_windows(
    conditions: Conditions, request: ResolvedRequest, windowed: Sequence[Windowed], tell: Tell
) -> Conditions:
    """Conditions whose rows are told anew wherever a window begins or ends.

    Args:
        conditions: of the run; the negative prompt's rows are the last.
        request: of the picture.
        windowed: what counts in parts of the run.
        tell: from a row, the number of a step, and whether the row is the negative prompt's, to that row of the step.
    """
    steps = request.steps
    changes = {step for step in range(steps - 1) if any(_changes(each, step, steps) for each in windowed)}
    last_steps = {steps - 1, *changes, *(last_step for last_step, _ in conditions.spans)}
    spans = []
    for last_step in sorted(last_steps):
        rows = conditions.at(last_step)
        negative = len(rows) - len(request.negative_weights)
        told = tuple(tell(row, last_step, place >= negative) for place, row in enumerate(rows))
        spans.append((last_step, told))
    return Conditions(tuple(spans))


def _changes(condition: Windowed, step: int, steps: int) -> bool:
    """Whether a condition counts in a step and not in the next one, or the other way round."""
    return condition.is_active(step, steps) != condition.is_active(step + 1, steps)
