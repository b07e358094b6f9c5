"""What the guidance of a run remembers from step to step: the one place that a state of it is made of."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from jobs.status.job import GuidedStep
from worker.states.state import GuidanceState

# A loss is lower only if it falls by more than this part of itself.
PATIENCE_TOLERANCE = 1e-3


@dataclass
class GuidanceMemory:
    """That of one run.

    Attributes:
        last: the gradient D or None, and the displacement of the estimate, [1, C, h, w] or a number; None where the
            last gradient is not finite, or there was none.
        best: the least loss so far.
        since_best: gradients since that one.
        trace: every guided step.
        draws: that were used.
        generator: its state after the last draw, bytes [N]; None before the first.
    """

    last: tuple[Tensor | None, Tensor | float] | None = None
    best: float = math.inf
    since_best: int = 0
    trace: list[GuidedStep] = field(default_factory=list)
    draws: int = 0
    generator: Tensor | None = None

    @classmethod
    def of(cls, state: GuidanceState | None, device: torch.device) -> "GuidanceMemory":
        """That of a run to go on with on a device, or of one that starts."""
        if state is None:
            return cls()
        noisy, displacement = (
            None if each is None else each.to(device) for each in (state.noisy, state.displacement)
        )
        return cls(
            None if displacement is None else (noisy, displacement),
            math.inf if state.best is None else state.best,
            state.since_best,
            list(state.trace),
            state.draws,
            state.generator,
        )

    def note_loss(self, loss: float) -> None:
        """Note the loss of another gradient."""
        if loss < self.best - PATIENCE_TOLERANCE * abs(loss):
            self.best, self.since_best = loss, 0
        else:
            self.since_best += 1

    def point(self) -> Callable[[], GuidanceState]:
        """Gives the state as it is now, at any time until the next step."""
        last, best, since_best = self.last, self.best, self.since_best
        draws, generator, traced = self.draws, self.generator, len(self.trace)
        return lambda: GuidanceState(
            generator=generator,
            draws=draws,
            noisy=None if last is None else last[0],
            displacement=None if last is None else torch.as_tensor(last[1]),
            best=None if math.isinf(best) else best,
            since_best=since_best,
            trace=tuple(self.trace[:traced]),
        )
