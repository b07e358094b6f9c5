"""Noise levels as pairs (a, s) of x = a x0 + s eps, and the steps between two of them."""

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from jobs.errors import ModelUnavailableError
from worker.facts import PREDICTIONS
from worker.sampling.step import Step

Level = tuple[float, float]  # (a, s) of x = a x0 + s eps

# Keep and gain of x0 = keep x + gain output, by what the UNet predicts.
_PARAMETERIZATIONS: dict[str, Callable[[float, float], tuple[float, float]]] = {
    # x = a x0 + s eps
    "epsilon": lambda a, s: (1 / a, -s / a) if a else (math.inf, -math.inf),
    # v = a eps - s x0 (Salimans & Ho 2022, appendix D)
    "v_prediction": lambda a, s: (a / (a**2 + s**2), -s / (a**2 + s**2)),
    "sample": lambda _a, _s: (0.0, 1.0),
}


def preserving(abar: float) -> Level:
    """The variance-preserving level of abar = a^2."""
    return math.sqrt(abar), math.sqrt(1 - abar)


def sigma_of(abar: float) -> float:
    """Noise relative to x0, of abar = a^2."""
    return math.sqrt((1 - abar) / abar)


def level_of(sigma: float) -> Level:
    """The variance-preserving level of sigma = s / a."""
    return preserving(1 / (1 + sigma**2))


def step_between(
    start: Level,
    end: Level,
    prediction: str,
    *,
    timesteps: tuple[Tensor, ...],
    eta: float,
    down: float | None = None,
) -> Step:
    """The step from one noise level to the next.

    Args:
        start: a and s.
        end: a' and s'.
        prediction: what the UNet predicts, one of ``PREDICTIONS``.
        timesteps: of the UNet's calls.
        eta: share of fresh noise (Song et al. 2021, eq. 16).
        down: sigma_down, of methods that do not take it from eta.

    Raises:
        ModelUnavailableError: the prediction type is not one of these.
    """
    if prediction not in _PARAMETERIZATIONS:
        raise ModelUnavailableError(f"the prediction type {prediction!r} is not one of {PREDICTIONS}")
    (a, s), (a_next, s_next) = start, end
    sigma_next = s_next / a_next
    if down is None:
        # sigma_down / sigma': 1 at an eta of 0; at 1 as little of the old noise as in DDPM.
        remains = math.sqrt(1 - eta**2 * (1 - (sigma_next * a / s) ** 2))
    else:
        remains = min(1.0, down / sigma_next) if sigma_next else 0.0
    down, up = sigma_next * remains, sigma_next * math.sqrt(1 - remains**2)
    return Step(timesteps, a, s, a_next, s_next, down, up, *_PARAMETERIZATIONS[prediction](a, s))


def with_middle(step: Step, sigma: float, timestep: Tensor, prediction: str) -> Step:
    """The same step with a second call of the UNet, at a noise level between its ends.

    Args:
        step: with one call.
        sigma: of the level.
        timestep: of the call.
        prediction: what the UNet predicts.
    """
    end = step.a_next, step.s_next
    middle = step_between(level_of(sigma), end, prediction, timesteps=(timestep,), eta=0.0)
    return replace(step, timesteps=(*step.timesteps, timestep), middle=middle)
