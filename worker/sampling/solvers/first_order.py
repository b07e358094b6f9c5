"""First-order solvers: the estimate D of the clean latents is constant over a step.

DDIM and Euler are one method in two notations, x and z = x / a; they differ in where their noise levels lie.
"""

from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler
from torch import Tensor

from worker.sampling.noise_schedule import NoiseLevels, to_next
from worker.sampling.solvers.base import Solver


class FirstOrder(Solver):
    """The step with the estimate at its start."""

    __slots__ = ()

    def _advanced(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        step = self.steps[index]
        return step.first_order(x, step.denoised(output, x))


class Ddim(FirstOrder):
    """DDIM (Song et al. 2021, eq. 12), with as much fresh noise as eta says (eq. 16); an eta of 1 is DDPM."""

    __slots__ = ()

    levels = NoiseLevels(DDIMScheduler)
    own_eta = None


class Ddpm(FirstOrder):
    """Ancestral sampling (Ho et al. 2020, algorithm 2) with the variance of the posterior, eq. 7."""

    __slots__ = ()

    levels = NoiseLevels(DDPMScheduler, ends=to_next)
    own_eta = 1.0


class Euler(FirstOrder):
    """Euler's method: z' = z + (sigma' - sigma) d, with the slope d = (z - D) / sigma (Karras et al. 2022, sec. 3)."""

    __slots__ = ()

    levels = NoiseLevels(EulerDiscreteScheduler, exploding=True)


class EulerAncestral(Euler):
    """Euler's method down to sigma_down, then fresh noise of sigma_up (Crowson 2022, after Ho et al. 2020)."""

    __slots__ = ()

    own_eta = 1.0
