"""Solvers of the reverse diffusion: diffusers' schedulers behind one notation.

Two conventions exist for noisy latents: variance preserving, x = sqrt(abar) x0 + sqrt(1 - abar) eps (DDIM, DPM++), and
variance exploding, x = x0 + sigma eps (Euler). Dividing the second by sqrt(1 + sigma^2) gives the first with
abar = 1 / (1 + sigma^2), so the formulas below are written once, for the first.
"""

import inspect
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


class Solver:
    """One run of a solver over one picture. Not shared: it holds the history of a multistep method."""

    def __init__(self, name: SamplerName, config: dict[str, Any], steps: int) -> None:
        """Plan ``steps`` steps of the noise schedule that a model's scheduler ``config`` describes."""
        self._scheduler = _SCHEDULERS[name].from_config(config)
        self._scheduler.set_timesteps(steps)
        self._explodes = name in {SamplerName.EULER, SamplerName.EULER_ANCESTRAL}
        self._takes_generator = "generator" in inspect.signature(self._scheduler.step).parameters
        self.timesteps: Tensor = self._scheduler.timesteps

    def initial(self, noise: Tensor) -> Tensor:
        """The latents to start from, for standard normal ``noise``."""
        scaled: Tensor = noise * self._scheduler.init_noise_sigma
        return scaled

    def model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """The latents as the UNet expects them at this timestep."""
        scaled: Tensor = self._scheduler.scale_model_input(latents, timestep)
        return scaled

    def denoised(self, output: Tensor, latents: Tensor, timestep: Tensor) -> Tensor:
        """The estimate of the clean latents x0 that a model output implies."""
        abar, x = self._preserving(latents, timestep)
        match self._scheduler.config.prediction_type:
            case "epsilon":
                return (x - (1 - abar).sqrt() * output) / abar.sqrt()
            case "v_prediction":
                return abar.sqrt() * x - (1 - abar).sqrt() * output
            case _:
                return output

    def output(self, denoised: Tensor, latents: Tensor, timestep: Tensor) -> Tensor:
        """The model output that would imply ``denoised``: the inverse of the method above."""
        abar, x = self._preserving(latents, timestep)
        match self._scheduler.config.prediction_type:
            case "epsilon":
                return (x - abar.sqrt() * denoised) / (1 - abar).sqrt()
            case "v_prediction":
                return (abar.sqrt() * x - denoised) / (1 - abar).sqrt()
            case _:
                return denoised

    def step(self, output: Tensor, latents: Tensor, timestep: Tensor, generator: torch.Generator) -> Tensor:
        """The latents at the next timestep; noise, where a method adds any, comes from ``generator``."""
        extra = {"generator": generator} if self._takes_generator else {}
        (following,) = self._scheduler.step(output, timestep, latents, return_dict=False, **extra)[:1]
        return following  # type: ignore[no-any-return]

    def _preserving(self, latents: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """The timestep's abar, and the latents in the variance preserving convention."""
        if not self._explodes:
            return self._scheduler.alphas_cumprod[timestep.long()].to(latents), latents
        index = (self._scheduler.timesteps == timestep).nonzero()[0].item()
        sigma = self._scheduler.sigmas[index].to(latents)
        return 1 / (1 + sigma**2), latents / (1 + sigma**2).sqrt()
