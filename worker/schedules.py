"""Solvers of the reverse diffusion, all in one formula.

Latents are kept variance preserving at every noise level: x = a x0 + s eps, with a^2 + s^2 = 1 and sigma = s / a. So x
is what the UNet expects, whatever the solver. From one level to the next (primed), every solver here takes the exact
solution of the probability flow for a constant estimate D of the clean latents, and adds fresh noise:

    x' = a' (sigma_down (x / s) + (1 - sigma_down / sigma) D + sigma_up eps)

DDIM (Song et al. 2021) and Euler (Karras et al. 2022, in the variance exploding x / a) are the same method:
sigma_down = sigma', D the estimate itself; they differ in where they put the levels. The ancestral Euler goes down
further and comes back up with noise; DPM-Solver++(2M) (Lu et al. 2022) extrapolates D from the last two estimates.

Where the levels lie is diffusers' business: its schedulers read a model's configuration and plan the steps.
"""

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)
from torch import Tensor

from jobs.request import SamplerName

_SCHEDULERS: dict[SamplerName, Any] = {
    SamplerName.DDIM: DDIMScheduler,
    SamplerName.EULER: EulerDiscreteScheduler,
    SamplerName.EULER_ANCESTRAL: EulerAncestralDiscreteScheduler,
    SamplerName.DPMPP_2M: DPMSolverMultistepScheduler,
}
# Lu et al. take a first-order last step when there are few, which is more stable; diffusers draws the line here.
_FEW_STEPS = 15


class Solver:
    """One run of a solver over one picture. Not shared: it remembers the last estimate.

    Attributes:
        timesteps: what to tell the UNet at each step, [steps].
    """

    def __init__(self, name: SamplerName, config: dict[str, Any], steps: int) -> None:
        """Plan ``steps`` steps of the noise schedule that a model's scheduler ``config`` describes."""
        plan = _plan(name, json.dumps(config, sort_keys=True), steps)
        self._name = name
        self._prediction, self._initial_scale = plan.prediction, plan.initial_scale
        self._starts, self._ends = plan.starts, plan.ends
        self.timesteps = plan.timesteps
        self._last: Tensor | None = None

    def initial(self, noise: Tensor) -> Tensor:
        """The latents to start from, for standard normal ``noise``."""
        return noise * self._initial_scale

    def denoised(self, output: Tensor, latents: Tensor, step: int) -> Tensor:
        """The estimate of the clean latents x0 that the UNet's output implies at a step, counted from 0."""
        a, s = self._starts[step]
        match self._prediction:
            case "epsilon":
                return (latents - s * output) / a
            case "v_prediction":
                return a * latents - s * output
            case _:
                return output

    def step(self, denoised: Tensor, latents: Tensor, step: int, generator: torch.Generator) -> Tensor:
        """The latents after a step; noise, where the method adds any, comes from ``generator``."""
        (a, s), (a_next, s_next) = self._starts[step], self._ends[step]
        down, up = s_next / a_next, 0.0
        if self._name is SamplerName.EULER_ANCESTRAL:
            down, up = _ancestral(s / a, down)
        estimate = self._extrapolated(denoised, step) if self._name is SamplerName.DPMPP_2M else denoised
        following = (a_next * down / s) * latents + (a_next * (1 - down * a / s)) * estimate
        if up:
            noise = torch.randn(latents.shape, generator=generator, dtype=latents.dtype)
            following += (a_next * up) * noise
        return following

    def _extrapolated(self, denoised: Tensor, step: int) -> Tensor:
        """D of DPM-Solver++(2M): the estimate in the middle of the step, on the line through the last two."""
        last, self._last = self._last, denoised
        final = step == len(self._starts) - 1
        if last is None or (final and (len(self._starts) < _FEW_STEPS or self._ends[step][1] == 0)):
            return denoised
        before, now, after = (
            math.log(a / s) for a, s in (self._starts[step - 1], self._starts[step], self._ends[step])
        )
        r = (now - before) / (after - now)
        return denoised + (denoised - last) / (2 * r)


Level = tuple[float, float]  # a and s


@dataclass(frozen=True)
class _Plan:
    """What a solver needs of diffusers' scheduler, as plain numbers."""

    prediction: str
    initial_scale: float
    timesteps: Tensor
    starts: list[Level]  # of each step
    ends: list[Level]


@lru_cache(maxsize=64)
def _plan(name: SamplerName, config: str, steps: int) -> _Plan:
    scheduler = _SCHEDULERS[name].from_config(json.loads(config))
    scheduler.set_timesteps(steps)
    if name is SamplerName.DDIM:
        starts, ends = _ddim_levels(scheduler)
    else:
        levels = [_level(1 / (1 + sigma**2)) for sigma in scheduler.sigmas.double().tolist()]
        starts, ends = levels[:-1], levels[1:]
    scale = float(scheduler.init_noise_sigma)
    if name in {SamplerName.EULER, SamplerName.EULER_ANCESTRAL}:
        scale *= starts[0][0]  # theirs is for x / a
    return _Plan(scheduler.config.prediction_type, scale, scheduler.timesteps, starts, ends)


def _ddim_levels(scheduler: Any) -> tuple[list[Level], list[Level]]:
    """DDIM goes back an equal number of timesteps each time, which may be one off where the next step starts."""
    abar = scheduler.alphas_cumprod.double().tolist()
    stride = scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    starts = scheduler.timesteps.tolist()
    ends = [abar[t - stride] if t >= stride else float(scheduler.final_alpha_cumprod) for t in starts]
    return [_level(abar[t]) for t in starts], [_level(value) for value in ends]


def _level(abar: float) -> Level:
    return math.sqrt(abar), math.sqrt(1 - abar)


def _ancestral(sigma: float, sigma_next: float) -> tuple[float, float]:
    """Where to go down to, and how much noise to add there, to arrive at ``sigma_next`` with the least of the old."""
    up = math.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2)
    return math.sqrt(sigma_next**2 - up**2), up
