"""Restart sampling: Heun's method, which goes back to more noise once it has almost arrived."""

from diffusers import EulerDiscreteScheduler
from torch import Tensor

from worker.sampling.noise_schedule import NoiseLevels
from worker.sampling.schedules.restarting import restarting
from worker.sampling.solvers.base import Solver


class Restart(Solver):
    """Xu et al. 2023, algorithm 1: each step is Heun's (Karras et al. 2022, algorithm 1) down to sigma_down.

    Fresh noise leads from there to sigma', which is more only where a restart begins.
    """

    __slots__ = ()

    levels = NoiseLevels(EulerDiscreteScheduler, exploding=True, course=restarting)

    def _advanced(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        """A step of Euler's to sigma_down; the last one, to 0, is no more."""
        step = self.steps[index]
        denoised = step.denoised(output, x)
        self.past, self.start = (step.noise(denoised, x),), x
        if step.middle is None:
            return step.first_order(x, denoised)
        return step.middle.a * (x / step.a + (step.down - step.sigma) * self.past[0])

    def _corrected(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        """The step again, with the mean of the slopes at its two ends."""
        step, (d,), start = self.steps[index], self.past, self.start
        assert step.middle is not None
        assert start is not None
        d_down = step.middle.noise(step.middle.denoised(output, x), x)
        return step.a_next * (start / step.a + (step.down - step.sigma) * ((d + d_down) / 2))
