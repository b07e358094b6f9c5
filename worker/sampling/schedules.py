"""The noise levels that a sampling run goes through, and what a step from one to the next is, in one notation.

Latents are kept variance preserving at every noise level: x = a x0 + s eps, a^2 + s^2 = 1, abar = a^2, sigma = s / a.
So x is what the UNet expects, whatever the solver. Where the levels lie is diffusers' business: its schedulers read a
model's configuration and plan the steps.
"""

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from jobs.errors import ModelUnavailableError
from jobs.requests.request import SamplerName
from worker.facts import PREDICTIONS

SCHEDULERS: dict[SamplerName, tuple[Any, dict[str, Any]]] = {
    SamplerName.DDIM: (DDIMScheduler, {}),
    SamplerName.EULER: (EulerDiscreteScheduler, {}),
    SamplerName.EULER_ANCESTRAL: (EulerAncestralDiscreteScheduler, {}),
    SamplerName.HEUN: (HeunDiscreteScheduler, {}),
    SamplerName.LMS: (EulerDiscreteScheduler, {}),  # the same levels, and no need of scipy
    SamplerName.DPMPP_2M: (DPMSolverMultistepScheduler, {}),
    SamplerName.DPMPP_2M_KARRAS: (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    SamplerName.DPMPP_2M_SDE_KARRAS: (
        DPMSolverMultistepScheduler,
        {"use_karras_sigmas": True, "algorithm_type": "sde-dpmsolver++"},
    ),
    # As Stable Diffusion's own configuration has it: no Runge-Kutta steps before the multistep ones.
    SamplerName.PNDM: (PNDMScheduler, {"skip_prk_steps": True}),
    SamplerName.UNIPC: (UniPCMultistepScheduler, {}),
}
_EXPLODING = {SamplerName.EULER, SamplerName.EULER_ANCESTRAL, SamplerName.HEUN, SamplerName.LMS}
_STOCHASTIC = {SamplerName.EULER_ANCESTRAL, SamplerName.DPMPP_2M_SDE_KARRAS}  # they have an eta of 1


@dataclass(frozen=True)
class Step:
    """One sampling step, from one noise level to the next.

    Attributes:
        timesteps: what to tell the UNet; two where a first answer is corrected by a second at the step's end.
        a: x = a x0 + s eps at the start.
        s: likewise.
        a_next: at the end.
        s_next: likewise.
        down: sigma that the old noise is brought down to.
        up: sigma of the fresh noise.
        keep: x0 = keep * x + gain * output.
        gain: likewise.
    """

    timesteps: tuple[Tensor, ...]
    a: float
    s: float
    a_next: float
    s_next: float
    down: float
    up: float
    keep: float
    gain: float

    @property
    def sigma(self) -> float:
        """Noise at the start, relative to x0; infinite where x is pure noise."""
        return self.s / self.a if self.a else math.inf

    @property
    def sigma_next(self) -> float:
        """Noise at the end, relative to x0."""
        return self.s_next / self.a_next

    @property
    def alpha(self) -> float:
        """The step's own alpha: abar / abar'."""
        return (self.a / self.a_next) ** 2

    @property
    def contraction(self) -> float:
        """How much of the predicted noise a step of first order keeps, relative to x0."""
        return self.down * self.a / self.s

    @property
    def log_snr(self) -> float:
        """Half the logarithm of the signal to noise ratio at the start: the lambda of DPM-Solver."""
        return math.log(self.a / self.s)

    @property
    def log_snr_next(self) -> float:
        """Likewise at the end."""
        return math.log(self.a_next / self.s_next) if self.s_next else math.inf

    def denoised(self, output: Tensor, x: Tensor) -> Tensor:
        """The estimate x0 of the clean latents that an output of the UNet for the input x implies."""
        return self.keep * x + self.gain * output

    def output(self, denoised: Tensor, x: Tensor) -> Tensor:
        """The output that would imply ``denoised``."""
        return (denoised - self.keep * x) / self.gain

    def noise(self, denoised: Tensor, x: Tensor) -> Tensor:
        """The noise eps that ``denoised`` leaves of x."""
        return (x - self.a * denoised) / self.s

    def first_order(self, x: Tensor, denoised: Tensor) -> Tensor:
        """The latents at the end, before fresh noise, if the estimate stays what it is."""
        return (self.a_next * self.down / self.s) * x + (self.a_next * (1 - self.contraction)) * denoised


@lru_cache(maxsize=64)
def planned(name: SamplerName, config: str, steps: int, eta: float) -> tuple[tuple[Step, ...], float]:
    """The steps of a sampler through a model's noise levels, and the scale of the latents to start from.

    Args:
        name: which sampler.
        config: of the model's scheduler, as JSON.
        steps: how many.
        eta: of DDIM.

    Raises:
        ModelUnavailableError: the model predicts what no solver knows.
    """
    scheduler_class, changes = SCHEDULERS[name]
    scheduler = scheduler_class.from_config(json.loads(config), **changes)
    scheduler.set_timesteps(steps)
    groups = _grouped(name, list(scheduler.timesteps))
    levels = _levels(scheduler, groups, every=2 if name is SamplerName.HEUN else 1)
    prediction = scheduler.config.prediction_type
    plan = tuple(
        _step(timesteps, *level, prediction, eta=1.0 if name in _STOCHASTIC else eta)
        for timesteps, level in zip(groups, levels, strict=True)
    )
    scale = float(scheduler.init_noise_sigma)
    return plan, scale * plan[0].a if name in _EXPLODING else scale  # theirs is then for x / a


def _grouped(name: SamplerName, timesteps: list[Tensor]) -> list[tuple[Tensor, ...]]:
    """The timesteps, those that belong to one step together."""
    if name is SamplerName.HEUN:  # all but the last are corrected
        return [tuple(timesteps[start : start + 2]) for start in range(0, len(timesteps), 2)]
    if name is SamplerName.PNDM and len(timesteps) > 1:  # the first is corrected
        return [tuple(timesteps[:2]), *((timestep,) for timestep in timesteps[2:])]
    return [(timestep,) for timestep in timesteps]


def _levels(scheduler: Any, groups: list[tuple[Tensor, ...]], every: int) -> list[tuple[float, float]]:
    """The abar at the start and at the end of each step."""
    if hasattr(scheduler, "sigmas"):
        *sigmas, last = scheduler.sigmas.double().tolist()
        return list(pairwise(1 / (1 + sigma**2) for sigma in (*sigmas[::every], last)))
    # An equal number of timesteps back each time, which may be one off where the next step starts.
    abars, final = scheduler.alphas_cumprod.double().tolist(), float(scheduler.final_alpha_cumprod)
    past = scheduler.config.num_train_timesteps // len(groups)
    starts = [int(timesteps[0]) for timesteps in groups]
    return [(abars[start], abars[start - past] if start >= past else final) for start in starts]


def _step(
    timesteps: tuple[Tensor, ...], abar: float, abar_next: float, prediction: str, *, eta: float
) -> Step:
    a, s, a_next, s_next = (math.sqrt(value) for value in (abar, 1 - abar, abar_next, 1 - abar_next))
    sigma_next = s_next / a_next
    # What remains of the old noise: all of it at an eta of 0, at 1 as little as in DDPM (Song et al. 2021, eq. 16).
    remains = math.sqrt(1 - eta**2 * (1 - (sigma_next * a / s) ** 2))
    match prediction:
        case "epsilon":
            keep, gain = (1 / a, -s / a) if a else (math.inf, -math.inf)
        case "v_prediction":
            keep, gain = a, -s
        case "sample":
            keep, gain = 0.0, 1.0
        case _:
            raise ModelUnavailableError(f"the prediction type {prediction!r} is not one of {PREDICTIONS}")
    up = sigma_next * math.sqrt(1 - remains**2)
    return Step(timesteps, a, s, a_next, s_next, sigma_next * remains, up, keep, gain)
