"""Solvers of second order in one step: a step is taken with an estimate from within it.

The second call of the UNet lies at the geometric mean of the sigmas that the step leads from and to: the middle in
log sigma. A step to sigma' = 0, and one from noise alone, is of first order and makes one call.
"""

import math

from diffusers import EulerDiscreteScheduler
from torch import Tensor

from worker.sampling.noise_schedule import NoiseLevels
from worker.sampling.solvers.base import Solver
from worker.sampling.step import Step


def _on_the_way_down(step: Step) -> float:
    """Sigma in the middle of the way to sigma_down."""
    return math.sqrt(step.sigma * step.down)


def _on_the_way(step: Step) -> float:
    """Sigma in the middle of the way to sigma'."""
    return math.sqrt(step.sigma * step.sigma_next)


class _Midpoint(Solver):
    __slots__ = ()
    levels = NoiseLevels(EulerDiscreteScheduler, exploding=True, middle=_on_the_way_down)

    def _advanced(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        """The latents in the middle of the step, of first order; at its end if that makes the step."""
        step, self.start = self.steps[index], x
        denoised = step.denoised(output, x)
        if step.middle is None:
            return step.first_order(x, denoised)
        share = step.middle.sigma / step.sigma
        return step.middle.a * ((share / step.a) * x + (1 - share) * denoised)


class Dpm2(_Midpoint):
    """DPM-Solver-2 (Lu et al. 2022, "DPM-Solver", algorithm 1) in sigma: z' = z + (sigma' - sigma) d_mid."""

    __slots__ = ()

    def _corrected(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        """The whole step with the slope d = (z - D) / sigma in its middle (Karras et al. 2022, algorithm 2)."""
        step = self.steps[index]
        assert step.middle is not None
        assert self.start is not None
        slope = step.middle.noise(step.middle.denoised(output, x), x)
        return step.a_next * (self.start / step.a + (step.down - step.sigma) * slope)


class Dpm2Ancestral(Dpm2):
    """The same down to sigma_down, then fresh noise of sigma_up (Crowson 2022)."""

    __slots__ = ()

    own_eta = 1.0


class Dpmpp2SAncestral(_Midpoint):
    """DPM-Solver++(2S) (Lu et al. 2022, algorithm 1, r = 1/2) down to sigma_down, then fresh noise (Crowson 2022)."""

    __slots__ = ()

    own_eta = 1.0

    def _corrected(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        """The whole step with the estimate D in its middle."""
        step = self.steps[index]
        assert step.middle is not None
        assert self.start is not None
        return step.first_order(self.start, step.middle.denoised(output, x))


class DpmppSde(Dpmpp2SAncestral):
    """DPM-Solver++(2S) on the reverse SDE (Lu et al. 2022; Crowson 2022, ``sample_dpmpp_sde``, eta 1, r = 1/2).

    The noise up to the middle and that of the whole step are increments of one Brownian motion in sigma, each brought
    to its sigma_up, as there.
    """

    __slots__ = ()

    levels = NoiseLevels(EulerDiscreteScheduler, exploding=True, middle=_on_the_way)

    def draws(self, index: int, stage: int) -> bool:  # noqa: ARG002 - both calls alike
        """After each call: up to the middle, and from there to the end."""
        return self.steps[index].up > 0

    def advance(
        self, index: int, stage: int, x: Tensor, output: Tensor, noise: Tensor | None = None
    ) -> Tensor:
        """As in all solvers, with the noise of a whole step made of those of its two halves."""
        step = self.steps[index]
        if step.middle is None or noise is None:
            self.past = ()
            return super().advance(index, stage, x, output, noise)
        if stage == 0:
            self.past = (noise,)
            return self._half(step, x, output) + step.middle.a * _up(step.middle, step) * noise
        (first,) = self.past
        share = math.sqrt((step.sigma - step.middle.sigma) / (step.sigma - step.sigma_next))
        whole = share * first + math.sqrt(1 - share**2) * noise
        return super().advance(index, stage, x, output, whole)

    def _half(self, step: Step, x: Tensor, output: Tensor) -> Tensor:
        """The latents in the middle, without the fresh noise."""
        assert step.middle is not None
        self.start = x
        share = (step.middle.sigma / step.sigma) ** 2
        return step.middle.a * ((share / step.a) * x + (1 - share) * step.denoised(output, x))


def _up(middle: Step, step: Step) -> float:
    """Sigma_up of the fresh noise up to the middle of a step."""
    return middle.sigma * math.sqrt(1 - (middle.sigma / step.sigma) ** 2)
