"""The noise levels of a sampling run, as steps. Diffusers' schedulers place them, or ``schedules/spreads.py`` does."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from inspect import signature
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from jobs.errors import JobFailedError
from jobs.requests.samplers import ScheduleName
from worker.facts import IS_XL
from worker.sampling.schedules.spreads import SPREADS, Levels, SigmaTable
from worker.sampling.schedules.steps import Level, level_of, preserving, step_between, with_middle
from worker.sampling.step import PURE_NOISE, Step, is_noise_alone

# Options of diffusers' schedulers; the model's own configuration may have set one of them.
_NO_SPREAD = dict.fromkeys(
    ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas"), False
)
_OPTIONS: dict[ScheduleName, dict[str, bool]] = {
    ScheduleName.DEFAULT: {},
    # Karras et al. 2022, eq. 5, with rho = 7
    ScheduleName.KARRAS: _NO_SPREAD | {"use_karras_sigmas": True},
    # sigma falls by the same factor at each step
    ScheduleName.EXPONENTIAL: _NO_SPREAD | {"use_exponential_sigmas": True},
    **dict.fromkeys(SPREADS, _NO_SPREAD),
}
# Those whose sigmas begin at a largest one, which a model without a signal in its last timestep does not have.
_FROM_LARGEST = (ScheduleName.KARRAS, ScheduleName.EXPONENTIAL, ScheduleName.AYS)

_DISTILLED_STEPS = 50  # of the run that consistency models are distilled from, as diffusers has it

Interval = tuple[Level, Level]  # at the start and at the end of a step
Groups = list[tuple[Tensor, ...]]  # the timesteps of each step's calls


def one_each(timesteps: Sequence[Tensor]) -> Groups:
    """One UNet call for each step."""
    return [(timestep,) for timestep in timesteps]


def pairs(timesteps: Sequence[Tensor]) -> Groups:
    """Two calls for each step but the last."""
    return [tuple(timesteps[start : start + 2]) for start in range(0, len(timesteps), 2)]


def first_pair(timesteps: Sequence[Tensor]) -> Groups:
    """Two calls for the first step of several."""
    return [tuple(timesteps[:2]), *one_each(timesteps[2:])] if len(timesteps) > 1 else one_each(timesteps)


def strided(scheduler: Any, times: Sequence[int]) -> list[float]:
    """The abar' at the end of each step, of a scheduler that goes back by an equal number of timesteps.

    It may be one off where the next step starts.
    """
    abars, final = scheduler.alphas_cumprod.double().tolist(), float(scheduler.final_alpha_cumprod)
    stride = scheduler.config.num_train_timesteps // len(times)
    return [abars[time - stride] if time >= stride else final for time in times]


def to_next(scheduler: Any, times: Sequence[int]) -> list[float]:
    """The abar' at the end of each step: where the next one starts, and no noise at last."""
    abars = scheduler.alphas_cumprod.double().tolist()
    return [*(abars[time] for time in times[1:]), 1.0]


@dataclass(frozen=True, eq=False)
class NoiseLevels:
    """Where a solver's noise levels lie.

    Attributes:
        scheduler: the class of diffusers that places them.
        options: its options beside the model's own configuration.
        exploding: whether it scales the initial noise for z = x / a instead of x.
        grouped: divides its timesteps into those of each step.
        ends: abar' of each step, for a scheduler that has timesteps alone.
        downs: sigma_down of each step, of (abars, timesteps, eta); None where eta alone gives it.
        middle: sigma of a second call within a step; None if all calls lie at ends of steps.
        course: makes the steps, of a table, their number and the prediction; None for steps that only lead down.
    """

    scheduler: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    exploding: bool = False
    grouped: Callable[[Sequence[Tensor]], Groups] = one_each
    ends: Callable[[Any, Sequence[int]], list[float]] = strided
    downs: Callable[[Sequence[float], Sequence[int], float], list[float]] | None = None
    middle: Callable[[Step], float] | None = None
    course: Callable[[SigmaTable, int, str], tuple[Step, ...]] | None = None


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
    fields = json.loads(config)
    is_xl = bool(fields.pop(IS_XL, False))
    scheduler = _scheduler(levels, fields, steps, schedule)
    table = SigmaTable(_log_sigmas(scheduler), is_xl)
    if levels.course is not None:
        course = levels.course(table, steps, scheduler.config.prediction_type)
        return course, course[0].sigma * course[0].a
    groups, places, scale = (
        _spread(levels, table, SPREADS[schedule](table, steps))
        if schedule in SPREADS
        else _placed(levels, scheduler, steps)
    )
    prediction = scheduler.config.prediction_type
    plan = []
    for timesteps, (start, end), down in zip(
        groups, places, _downs(levels, scheduler, groups, eta), strict=True
    ):
        calls = _calls(timesteps, start)
        step = step_between(start, end, prediction, timesteps=calls, eta=eta, down=down)
        plan.append(_with_middle(levels, table, prediction, step))
    return tuple(plan), scale * plan[0].a if levels.exploding else scale


def _scheduler(levels: NoiseLevels, config: dict[str, Any], steps: int, schedule: ScheduleName) -> Any:
    """The scheduler that places the noise levels of a model.

    A model with ``rescale_betas_zero_snr`` is trained down to a signal-to-noise ratio of 0 (Lin et al. 2024, "Common
    Diffusion Noise Schedules and Sample Steps are Flawed", sec. 3.1).

    Raises:
        JobFailedError: the schedule is spread from the largest sigma, which is infinite there.
    """
    options = dict(levels.options)
    if "original_inference_steps" in signature(levels.scheduler.__init__).parameters:
        # Every so many of these are taken, and diffusers refuses to take more.
        trained = config.get("num_train_timesteps", 1000)
        options["original_inference_steps"] = max(
            config.get("original_inference_steps") or _DISTILLED_STEPS, trained // (trained // steps)
        )
    if not config.get("rescale_betas_zero_snr"):
        return levels.scheduler.from_config(config, **options, **_OPTIONS[schedule])
    if schedule in _FROM_LARGEST:
        raise JobFailedError(
            f"schedule {schedule} is spread from the largest noise level down, and this model starts from noise alone "
            f"(zero terminal SNR), where it is infinite: use schedule {ScheduleName.DEFAULT}",
            field="schedule",
        )
    if "rescale_betas_zero_snr" not in signature(levels.scheduler.__init__).parameters:
        config = config | {"trained_betas": _rescaled_betas(config)}
    return levels.scheduler.from_config(config, **options)


def _rescaled_betas(config: dict[str, Any]) -> list[float]:
    """The betas of a zero terminal SNR, for schedulers that cannot rescale them by themselves.

    As in those that can, the last abar is as small as their arithmetic allows, and not 0.
    """
    abars = DDIMScheduler.from_config(config).alphas_cumprod.double()
    abars[-1] = PURE_NOISE
    before = torch.cat([abars.new_ones(1), abars[:-1]])
    betas: list[float] = (1 - abars / before).tolist()
    return betas


def _log_sigmas(scheduler: Any) -> Levels:
    """Log sigma of each timestep that the model was trained at, [T]."""
    abars = scheduler.alphas_cumprod.double().clamp(min=PURE_NOISE).numpy()
    logs: Levels = np.log((1 - abars) / abars) / 2
    return logs


def _spread(levels: NoiseLevels, table: SigmaTable, sigmas: Levels) -> tuple[Groups, list[Interval], float]:
    """As ``_placed``, for the sigmas at the starts of the steps."""
    starts = list(torch.tensor(table.timesteps_of(sigmas)))
    if levels.grouped is pairs:
        groups = pairs([starts[0], *(start for start in starts[1:] for _ in range(2))])
    else:
        groups = one_each(starts)
    return groups, _between([*sigmas.tolist(), 0.0]), float(sigmas[0]) if levels.exploding else 1.0


def _calls(timesteps: tuple[Tensor, ...], start: Level) -> tuple[Tensor, ...]:
    """The UNet's calls of a step; one where it starts from noise alone, since a slope in sigma has no mean there."""
    return timesteps[:1] if is_noise_alone(start[0]) else timesteps


def _placed(levels: NoiseLevels, scheduler: Any, steps: int) -> tuple[Groups, list[Interval], float]:
    """Each step's timesteps and noise levels, and the scale of the initial noise, where a scheduler places them."""
    scheduler.set_timesteps(steps)
    groups, scale = levels.grouped(list(scheduler.timesteps)), float(scheduler.init_noise_sigma)
    if hasattr(scheduler, "sigmas"):
        sigmas = scheduler.sigmas.double().tolist()
        starts = accumulate((len(timesteps) for timesteps in groups[:-1]), initial=0)
        return groups, _between([sigmas[place] for place in (*starts, -1)]), scale
    times = _times(groups)
    abars, ends = scheduler.alphas_cumprod.double().tolist(), levels.ends(scheduler, times)
    places = [(preserving(abars[time]), preserving(end)) for time, end in zip(times, ends, strict=True)]
    return groups, places, scale


def _times(groups: Sequence[tuple[Tensor, ...]]) -> list[int]:
    return [int(timesteps[0]) for timesteps in groups]


def _between(sigmas: Sequence[float]) -> list[Interval]:
    return list(pairwise(level_of(sigma) for sigma in sigmas))


def _downs(
    levels: NoiseLevels, scheduler: Any, groups: Sequence[tuple[Tensor, ...]], eta: float
) -> Sequence[float | None]:
    """Sigma_down of each step; None where eta gives it."""
    if levels.downs is None:
        return [None] * len(groups)
    return levels.downs(scheduler.alphas_cumprod.double().tolist(), _times(groups), eta)


def _with_middle(levels: NoiseLevels, table: SigmaTable, prediction: str, step: Step) -> Step:
    """The step with its call at a level within it, if the method has one there."""
    sigma = levels.middle(step) if levels.middle and not step.starts_from_noise_alone else 0.0
    if not sigma:
        return step
    (timestep,) = torch.tensor(table.timesteps_of(np.array([sigma])))
    return with_middle(step, sigma, timestep, prediction)
