"""The noise levels of a sampling run. Diffusers' schedulers place them; this module turns them into steps."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from inspect import signature
from itertools import accumulate, pairwise
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from jobs.errors import JobFailedError, ModelUnavailableError
from jobs.requests.samplers import ScheduleName
from worker.facts import PREDICTIONS
from worker.sampling.step import PURE_NOISE, Step, is_noise_alone

Level = tuple[float, float]  # (a, s) of x = a x0 + s eps

# Keep and gain of x0 = keep x + gain output, by what the UNet predicts.
_PARAMETERIZATIONS: dict[str, Callable[[float, float], tuple[float, float]]] = {
    # x = a x0 + s eps
    "epsilon": lambda a, s: (1 / a, -s / a) if a else (math.inf, -math.inf),
    # v = a eps - s x0 (Salimans & Ho 2022, appendix D)
    "v_prediction": lambda a, s: (a / (a**2 + s**2), -s / (a**2 + s**2)),
    "sample": lambda _a, _s: (0.0, 1.0),
}

# Options of diffusers' schedulers; the model's own configuration may have set one of them.
_NO_SPREAD = dict.fromkeys(
    ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas"), False
)
_SPREADS: dict[ScheduleName, dict[str, bool]] = {
    ScheduleName.DEFAULT: {},
    # Karras et al. 2022, eq. 5, with rho = 7
    ScheduleName.KARRAS: _NO_SPREAD | {"use_karras_sigmas": True},
    # sigma falls by the same factor at each step
    ScheduleName.EXPONENTIAL: _NO_SPREAD | {"use_exponential_sigmas": True},
}


def one_each(timesteps: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """One UNet call for each step."""
    return [(timestep,) for timestep in timesteps]


def pairs(timesteps: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """Two calls for each step but the last."""
    return [tuple(timesteps[start : start + 2]) for start in range(0, len(timesteps), 2)]


def first_pair(timesteps: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """Two calls for the first step of several."""
    return [tuple(timesteps[:2]), *one_each(timesteps[2:])] if len(timesteps) > 1 else one_each(timesteps)


@dataclass(frozen=True, eq=False)
class NoiseLevels:
    """Where a solver's noise levels lie.

    Attributes:
        scheduler: the class of diffusers that places them.
        options: its options beside the model's own configuration.
        exploding: whether it scales the initial noise for z = x / a instead of x.
        grouped: divides its timesteps into those of each step.
    """

    scheduler: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    exploding: bool = False
    grouped: Callable[[Sequence[Tensor]], list[tuple[Tensor, ...]]] = one_each


@lru_cache(maxsize=64)
def planned(
    levels: NoiseLevels, config: str, steps: int, schedule: ScheduleName, eta: float
) -> tuple[tuple[Step, ...], float]:
    """The steps through a model's noise levels, and the scale of the initial latents.

    Args:
        levels: of the solver.
        config: the model's scheduler configuration, as JSON.
        steps: number of steps.
        schedule: how the levels are spread; one that the solver's scheduler supports.
        eta: share of fresh noise: 0 adds none, 1 as much as DDPM.

    Raises:
        ModelUnavailableError: no solver supports the model's prediction type.
        JobFailedError: the schedule needs a largest noise level, and the model has none.
    """
    scheduler = _scheduler(levels, json.loads(config), schedule)
    scheduler.set_timesteps(steps)
    groups = levels.grouped(list(scheduler.timesteps))
    prediction = scheduler.config.prediction_type
    plan = tuple(
        step_between(start, end, prediction, timesteps=_calls(timesteps, start), eta=eta)
        for timesteps, (start, end) in zip(groups, _levels(scheduler, groups), strict=True)
    )
    scale = float(scheduler.init_noise_sigma)
    return plan, scale * plan[0].a if levels.exploding else scale


def _scheduler(levels: NoiseLevels, config: dict[str, Any], schedule: ScheduleName) -> Any:
    """The scheduler that places the noise levels of a model.

    A model with ``rescale_betas_zero_snr`` is trained down to a signal-to-noise ratio of 0 (Lin et al. 2024, "Common
    Diffusion Noise Schedules and Sample Steps are Flawed", sec. 3.1).

    Raises:
        JobFailedError: the schedule is spread from the largest sigma, which is infinite there.
    """
    if not config.get("rescale_betas_zero_snr"):
        return levels.scheduler.from_config(config, **levels.options, **_SPREADS[schedule])
    if _SPREADS[schedule]:
        raise JobFailedError(
            f"schedule {schedule} is spread from the largest noise level down, and this model starts from noise alone "
            f"(zero terminal SNR), where it is infinite: use schedule {ScheduleName.DEFAULT}",
            field="schedule",
        )
    if "rescale_betas_zero_snr" not in signature(levels.scheduler.__init__).parameters:
        config = config | {"trained_betas": _rescaled_betas(config)}
    return levels.scheduler.from_config(config, **levels.options)


def _rescaled_betas(config: dict[str, Any]) -> list[float]:
    """The betas of a zero terminal SNR, for schedulers that cannot rescale them by themselves.

    As in those that can, the last abar is as small as their arithmetic allows, and not 0.
    """
    abars = DDIMScheduler.from_config(config).alphas_cumprod.double()
    abars[-1] = PURE_NOISE
    before = torch.cat([abars.new_ones(1), abars[:-1]])
    betas: list[float] = (1 - abars / before).tolist()
    return betas


def _calls(timesteps: tuple[Tensor, ...], start: Level) -> tuple[Tensor, ...]:
    """The UNet's calls of a step; one where it starts from noise alone, since a slope in sigma has no mean there."""
    return timesteps[:1] if is_noise_alone(start[0]) else timesteps


def _levels(scheduler: Any, groups: Sequence[tuple[Tensor, ...]]) -> list[tuple[Level, Level]]:
    """The noise levels at the start and at the end of each step."""
    if hasattr(scheduler, "sigmas"):
        sigmas = scheduler.sigmas.double().tolist()
        starts = accumulate((len(timesteps) for timesteps in groups[:-1]), initial=0)
        return list(pairwise(_preserving(1 / (1 + sigmas[place] ** 2)) for place in (*starts, -1)))
    # DDIM and PNDM go back by an equal number of timesteps, which may be one off where the next step starts.
    abars, final = scheduler.alphas_cumprod.double().tolist(), float(scheduler.final_alpha_cumprod)
    stride = scheduler.config.num_train_timesteps // len(groups)
    times = [int(timesteps[0]) for timesteps in groups]
    return [
        (_preserving(abars[time]), _preserving(abars[time - stride] if time >= stride else final))
        for time in times
    ]


def _preserving(abar: float) -> Level:
    """The variance-preserving level of abar = a^2."""
    return math.sqrt(abar), math.sqrt(1 - abar)


def step_between(
    start: Level, end: Level, prediction: str, *, timesteps: tuple[Tensor, ...], eta: float
) -> Step:
    """The step from one noise level to the next.

    Args:
        start: a and s.
        end: a' and s'.
        prediction: what the UNet predicts, one of ``PREDICTIONS``.
        timesteps: of the UNet's calls.
        eta: share of fresh noise (Song et al. 2021, eq. 16).

    Raises:
        ModelUnavailableError: the prediction type is not one of these.
    """
    if prediction not in _PARAMETERIZATIONS:
        raise ModelUnavailableError(f"the prediction type {prediction!r} is not one of {PREDICTIONS}")
    (a, s), (a_next, s_next) = start, end
    sigma_next = s_next / a_next
    # sigma_down / sigma': 1 at an eta of 0; at 1 as little of the old noise as in DDPM.
    remains = math.sqrt(1 - eta**2 * (1 - (sigma_next * a / s) ** 2))
    down, up = sigma_next * remains, sigma_next * math.sqrt(1 - remains**2)
    return Step(timesteps, a, s, a_next, s_next, down, up, *_PARAMETERIZATIONS[prediction](a, s))
