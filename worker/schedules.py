"""Solvers of the reverse diffusion: diffusers' schedulers behind one notation.

Two conventions exist for noisy latents: variance preserving, x = sqrt(abar) x0 + sqrt(1 - abar) eps (DDIM, DPM++), and
variance exploding, z = x0 + sigma eps (Euler). A UNet always sees the first: its input is x = sqrt(abar) z, with
abar = 1 / (1 + sigma^2). So all formulas here and in guidance are written once, for the UNet's input.
"""

import copy
import inspect
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from jobs.request import SamplerName

SCHEDULERS: dict[SamplerName, tuple[Any, dict[str, Any]]] = {
    SamplerName.DDIM: (DDIMScheduler, {}),
    SamplerName.EULER: (EulerDiscreteScheduler, {}),
    SamplerName.EULER_ANCESTRAL: (EulerAncestralDiscreteScheduler, {}),
    SamplerName.HEUN: (HeunDiscreteScheduler, {}),
    SamplerName.LMS: (LMSDiscreteScheduler, {}),
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
_STOCHASTIC = {SamplerName.EULER_ANCESTRAL, SamplerName.DPMPP_2M_SDE_KARRAS}


@dataclass(frozen=True)
class Step:
    """One sampling step, from one noise level to the next.

    Attributes:
        timesteps: where the UNet is asked; twice where a first answer is corrected by a second (Heun).
        abar: cumulative alpha of the noise level that the step starts from.
        following_abar: of the level that it leads to.
        contraction: what a first-order step of this solver leaves of the predicted noise, relative to x0: sigma' /
            sigma, or its square where the solver replaces noise by fresh noise.
        keep: x0 = keep * x + gain * output.
        gain: likewise.
        unit: x is this times the solver's latents at the start.
        following_unit: and at the end.
    """

    timesteps: tuple[Tensor, ...]
    abar: float
    following_abar: float
    contraction: float
    keep: float
    gain: float
    unit: float
    following_unit: float

    @property
    def s(self) -> float:
        """Standard deviation of the noise in x."""
        return math.sqrt(1 - self.abar)

    @property
    def sigma(self) -> float:
        """The same, relative to x0; infinite where x is pure noise."""
        return self.s / math.sqrt(self.abar) if self.abar else math.inf

    @property
    def alpha(self) -> float:
        """The step's own alpha."""
        return self.abar / self.following_abar

    def denoised(self, output: Tensor, x: Tensor) -> Tensor:
        """The estimate x0 of the clean latents that an output of the UNet for the input x implies."""
        return self.keep * x + self.gain * output

    def output(self, denoised: Tensor, x: Tensor) -> Tensor:
        """The output that would imply ``denoised``."""
        return (denoised - self.keep * x) / self.gain


class Solver:
    """One run of a solver over one picture. Not shared: it holds the history of a multistep method.

    Guidance never enters this history. It moves the latents after a step (``shifted``), as far as a first-order step of
    the same solver would have carried it; so a multistep method extrapolates the model's own estimates only.
    """

    def __init__(self, name: SamplerName, config: dict[str, Any], steps: int) -> None:
        """Plan ``steps`` steps of the noise schedule that a model's scheduler ``config`` describes."""
        scheduler, changes = SCHEDULERS[name]
        self._scheduler = scheduler.from_config(config, **changes)
        self._scheduler.set_timesteps(steps)
        self._takes_generator = "generator" in inspect.signature(self._scheduler.step).parameters
        self._marked: Any = None
        self.steps = self._plan(name)

    def initial(self, noise: Tensor) -> Tensor:
        """The latents to start from, for standard normal ``noise``."""
        scaled: Tensor = noise * self._scheduler.init_noise_sigma
        return scaled

    def model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """The latents x as the UNet expects them at this timestep: variance preserving."""
        scaled: Tensor = self._scheduler.scale_model_input(latents, timestep)
        return scaled

    def step(self, output: Tensor, latents: Tensor, timestep: Tensor, generator: torch.Generator) -> Tensor:
        """The latents after one of a step's timesteps; noise, where a method adds any, comes from ``generator``."""
        extra = {"generator": generator} if self._takes_generator else {}
        (following,) = self._scheduler.step(output, timestep, latents, return_dict=False, **extra)[:1]
        return following  # type: ignore[no-any-return]

    def shifted(self, latents: Tensor, shift: Tensor, step: Step) -> Tensor:
        """The latents after a step, moved; and the history as it would be had they been on their way there all along.

        Args:
            latents: after the step, in the solver's convention.
            shift: variance preserving.
            step: the step.
        """
        if step.following_abar < 1:
            self._move_history(shift / math.sqrt(1 - step.following_abar), step)
        return latents + shift / step.following_unit

    def _move_history(self, eps: Tensor, step: Step) -> None:
        """Add ``eps`` to the noise that was predicted in past steps, so that a jump of the latents is not extrapolated.

        Estimates of x0, which DPM++ remembers, are the same on the old way and on the new one.
        """
        scheduler = self._scheduler
        if isinstance(scheduler, LMSDiscreteScheduler):
            scheduler.derivatives = [derivative + eps for derivative in scheduler.derivatives]
        if isinstance(scheduler, PNDMScheduler):
            index = self.steps.index(step) + 1
            past = self.steps[max(0, index - len(scheduler.ets)) : index]
            scheduler.ets = [
                output - step.keep * step.s / step.gain * eps
                for output, step in zip(scheduler.ets, past, strict=True)
            ]
        if isinstance(
            scheduler, UniPCMultistepScheduler
        ):  # takes its last step anew, from where that started
            scheduler.last_sample = scheduler.last_sample + step.s * eps

    def mark(self) -> None:
        """Remember the history as it is before a step that may be taken again."""
        self._marked = copy.deepcopy(self._scheduler)

    def renoised(self, latents: Tensor, step: Step, noise: Tensor) -> Tensor:
        """Back to the start of a step: the history as it was marked, the latents with the step's noise added again."""
        self._scheduler = copy.deepcopy(self._marked)
        x = math.sqrt(step.alpha) * step.following_unit * latents + math.sqrt(1 - step.alpha) * noise
        return x / step.unit

    def _plan(self, name: SamplerName) -> tuple[Step, ...]:
        steps = []
        groups = self._grouped(name)
        levels = self._levels(groups, every=2 if name is SamplerName.HEUN else 1)
        for timesteps, (abar, following) in zip(groups, levels, strict=True):
            ratio = _ratio(abar, following)
            keep, gain = _estimate_from(self._scheduler.config.prediction_type, abar)
            steps.append(
                Step(
                    timesteps=timesteps,
                    abar=abar,
                    following_abar=following,
                    contraction=ratio**2 if name in _STOCHASTIC else ratio,
                    keep=keep,
                    gain=gain,
                    unit=math.sqrt(abar) if name in _EXPLODING else 1.0,
                    following_unit=math.sqrt(following) if name in _EXPLODING else 1.0,
                )
            )
        return tuple(steps)

    def _grouped(self, name: SamplerName) -> list[tuple[Tensor, ...]]:
        """The timesteps, those that belong to one step together."""
        timesteps = list(self._scheduler.timesteps)
        if name is SamplerName.HEUN:  # all but the last are corrected
            return [tuple(timesteps[start : start + 2]) for start in range(0, len(timesteps), 2)]
        if name is SamplerName.PNDM and len(timesteps) > 1:  # the first is corrected
            return [tuple(timesteps[:2]), *((timestep,) for timestep in timesteps[2:])]
        return [(timestep,) for timestep in timesteps]

    def _levels(self, groups: list[tuple[Tensor, ...]], every: int) -> list[tuple[float, float]]:
        """The abar at the start and at the end of each step."""
        if hasattr(self._scheduler, "sigmas"):
            *sigmas, last = self._scheduler.sigmas.double().tolist()
            return list(pairwise(1 / (1 + sigma**2) for sigma in (*sigmas[::every], last)))
        abars, final = (
            self._scheduler.alphas_cumprod.double().tolist(),
            float(self._scheduler.final_alpha_cumprod),
        )
        past = self._scheduler.config.num_train_timesteps // len(groups)
        starts = [int(timesteps[0]) for timesteps in groups]
        return [(abars[start], abars[start - past] if start >= past else final) for start in starts]


def _ratio(abar: float, following: float) -> float:
    """How much of sigma is left: sigma' / sigma."""
    return math.sqrt((1 - following) * abar / (following * (1 - abar)))


def _estimate_from(prediction_type: str, abar: float) -> tuple[float, float]:
    """Factors of x and of the UNet's output whose sum is x0."""
    match prediction_type:
        case "epsilon":
            return 1 / math.sqrt(abar), -math.sqrt((1 - abar) / abar)
        case "v_prediction":
            return math.sqrt(abar), -math.sqrt(1 - abar)
        case _:
            return 0.0, 1.0
