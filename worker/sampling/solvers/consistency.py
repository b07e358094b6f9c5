"""Samplers of models that jump to the clean latents from any level, and of those distilled like them."""

import math
from collections.abc import Sequence
from typing import ClassVar

from diffusers import LCMScheduler, TCDScheduler
from torch import Tensor

from worker.sampling.noise_schedule import NoiseLevels, to_next
from worker.sampling.schedules.steps import sigma_of
from worker.sampling.solvers.base import Solver
from worker.sampling.solvers.first_order import FirstOrder

# As in diffusers: the spread of the latents, and the factor of the timesteps.
_SIGMA_DATA = 0.5
_TIMESTEP_SCALING = 10.0


def _none(_abars: Sequence[float], times: Sequence[int], _eta: float) -> list[float]:
    return [0.0 for _ in times]


class Lcm(Solver):
    """Multistep consistency sampling (Luo et al. 2023, "Latent Consistency Models", algorithm 3).

    A step goes to the clean latents, and from there to its end with nothing but fresh noise.
    """

    __slots__ = ()

    levels = NoiseLevels(LCMScheduler, ends=to_next, downs=_none)
    own_eta = 1.0

    def _advanced(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        """The consistency function c_skip x + c_out D, which is x where t is 0."""
        step = self.steps[index]
        t = _TIMESTEP_SCALING * float(step.timesteps[0])
        c_skip = _SIGMA_DATA**2 / (t**2 + _SIGMA_DATA**2)
        c_out = t / math.sqrt(t**2 + _SIGMA_DATA**2)
        return step.a_next * (c_skip * x + c_out * step.denoised(output, x))


def _to_first(scheduler: object, times: Sequence[int]) -> list[float]:
    """Where the next step starts; at last the least noise that the model was trained with."""
    abars: list[float] = scheduler.alphas_cumprod.double().tolist()  # type: ignore[attr-defined]
    return [abars[time] for time in (*times[1:], 0)]


def _strategic(abars: Sequence[float], times: Sequence[int], eta: float) -> list[float]:
    """Sigma at the timestep (1 - gamma) t', rounded down, of each step to t'."""
    return [sigma_of(abars[int((1 - eta) * time)]) for time in (*times[1:], 0)]


class Tcd(FirstOrder):
    """Strategic stochastic sampling (Zheng et al. 2024, "Trajectory Consistency Distillation", algorithm 4).

    A step goes to the timestep (1 - gamma) t', then back up to t' with fresh noise. Eta is the gamma.
    """

    __slots__ = ()

    levels = NoiseLevels(TCDScheduler, ends=_to_first, downs=_strategic)
    own_eta: ClassVar[float | None] = None
