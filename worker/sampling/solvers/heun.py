"""Heun's method: each step is taken with the mean of the slopes at its two ends."""

from diffusers import HeunDiscreteScheduler
from torch import Tensor

from worker.sampling.noise_schedule import NoiseLevels, pairs
from worker.sampling.solvers.base import Solver


class Heun(Solver):
    """Karras et al. 2022, algorithm 1; the last step, to sigma' = 0, is Euler's."""

    __slots__ = ()

    levels = NoiseLevels(HeunDiscreteScheduler, exploding=True, grouped=pairs)

    def _advanced(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        """A step of Euler's."""
        step = self.steps[index]
        denoised = step.denoised(output, x)
        self.past, self.start = (step.noise(denoised, x),), x
        return step.first_order(x, denoised)

    def _corrected(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        """The step again: z' = z + (sigma' - sigma) (d + d') / 2 with the slopes d = (z - D) / sigma."""
        assert self.start is not None
        step, end = self.steps[index], self.steps[index + 1]
        (d,), d_next = self.past, end.noise(end.denoised(output, x), x)
        return step.a_next * (self.start / step.a + (step.sigma_next - step.sigma) * ((d + d_next) / 2))
