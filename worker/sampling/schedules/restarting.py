"""The levels of restart sampling (Xu et al. 2023, "Restart Sampling for Improving Generative Processes", algorithm 1).

Where the noise is almost gone, a run goes back up to a level of more, with fresh noise, and comes down again. That
contracts the errors of all steps before. The paper leaves the levels and the numbers open. Here they are those of
AUTOMATIC1111's web UI, which divides a stated number of steps.
"""

from itertools import pairwise

import numpy as np
import torch

from jobs.errors import JobFailedError
from worker.sampling.schedules.spreads import Levels, SigmaTable
from worker.sampling.schedules.steps import level_of, step_between, with_middle
from worker.sampling.step import Step, is_noise_alone

RHO = 7.0  # of Karras et al. 2022, eq. 5
LEAST, MOST = 0.1, 2.0  # sigma where a run goes back, and where to
# Runs of fewer steps have no restart; from the second number on there are two, of a quarter of the steps each.
ONCE, TWICE = 20, 36
STEPS_OF_ONE = 9


def restarting(table: SigmaTable, steps: int, prediction: str) -> tuple[Step, ...]:
    """The steps of a run, of which some end with more noise than they start with.

    Each has a second call at sigma_down, where the fresh noise is added; but the last, to 0.

    Args:
        table: of the model.
        steps: number of them in all.
        prediction: what the UNet predicts.

    Raises:
        JobFailedError: the model has no largest noise level.
        ModelUnavailableError: no solver supports the prediction.
    """
    least, most = float(np.exp(table.logs[0])), float(np.exp(table.logs[-1]))
    if is_noise_alone(level_of(most)[0]):
        raise JobFailedError(
            "restart sampling spreads its levels from the largest one down, and this model starts from noise alone "
            "(zero terminal SNR), where it is infinite: use another sampler",
            field="sampler",
        )
    course = _course(steps, least, most)
    following = [*(sigma for sigma, _ in course[1:]), 0.0]
    return tuple(
        _step(table, prediction, *ends, after) for ends, after in zip(course, following, strict=True)
    )


def _course(steps: int, least: float, most: float) -> list[tuple[float, float]]:
    """Sigma and sigma_down of each step."""
    times, again = (2, steps // 4) if steps >= TWICE else (1, STEPS_OF_ONE) if steps >= ONCE else (0, 0)
    sigmas = np.append(_karras(steps - times * again, least, most), 0.0)
    back, start = (int(np.abs(sigmas - sigma).argmin()) for sigma in (LEAST, MOST))
    course = list(pairwise(sigmas.tolist()))
    if times and start < back:
        # Once more from the level of most noise to that of least.
        inner = _karras(again + 1, float(sigmas[back]), float(sigmas[start]))[1:-1]
        levels = [float(sigmas[start]), *inner.tolist(), float(sigmas[back])]
        course[back:back] = list(pairwise(levels)) * times
    return course


def _step(table: SigmaTable, prediction: str, sigma: float, down: float, after: float) -> Step:
    (timestep,) = torch.tensor(table.timesteps_of(np.array([sigma])))
    ends = level_of(sigma), level_of(after)
    step = step_between(
        *ends, prediction, timesteps=(timestep,), eta=0.0, down=None if down == after else down
    )
    if not down:
        return step
    (second,) = torch.tensor(table.timesteps_of(np.array([down])))
    return with_middle(step, down, second, prediction)


def _karras(steps: int, least: float, most: float) -> Levels:
    ramp = np.linspace(0, 1, steps)
    sigmas: Levels = (most ** (1 / RHO) + ramp * (least ** (1 / RHO) - most ** (1 / RHO))) ** RHO
    return sigmas
