"""Noise schedules that diffusers' schedulers do not place, by the table of the levels that a model was trained at."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.requests.samplers import ScheduleName
from worker.sampling.schedules.beta_quantile import beta_quantile

Levels = NDArray[np.float64]

_BETA_SHAPE = 0.6
# Sabour et al. 2024, "Align Your Steps", the optimized sigmas of ten steps that its authors published.
_ALIGNED = {
    False: (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    True: (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
}


@dataclass(frozen=True, eq=False)
class SigmaTable:
    """The sigmas that a model was trained at.

    Between two timesteps log sigma is taken as linear in the timestep, as in k-diffusion and in diffusers.

    Attributes:
        logs: log sigma of each timestep, rising, [T].
        is_xl: whether the model is of SDXL's kind.
    """

    logs: Levels
    is_xl: bool = False

    @property
    def last(self) -> int:
        """The timestep of the most noise."""
        return len(self.logs) - 1

    def sigmas_at(self, timesteps: Levels) -> Levels:
        """Sigma at each timestep, which may lie between two."""
        return np.exp(np.interp(timesteps, np.arange(len(self.logs)), self.logs))

    def timesteps_of(self, sigmas: Levels) -> Levels:
        """The timestep of each sigma, which may lie between two; the nearest one of a sigma outside of the table."""
        return np.interp(np.log(sigmas), self.logs, np.arange(len(self.logs)))


def _sgm_uniform(table: SigmaTable, steps: int) -> Levels:
    """Evenly spaced timesteps, a step's length before 0; but for rounding the spacing "trailing" of diffusers."""
    return table.sigmas_at(np.linspace(table.last, 0, steps + 1)[:-1])


def _normal(table: SigmaTable, steps: int) -> Levels:
    """Evenly spaced timesteps, down to 0 (k-diffusion, ``get_sigmas``)."""
    return table.sigmas_at(np.linspace(table.last, 0, steps))


def _simple(table: SigmaTable, steps: int) -> Levels:
    """Each time the same number of trained levels further down, rounded to whole ones (ComfyUI, ``simple``)."""
    behind = np.floor(np.arange(steps) * (len(table.logs) / steps))
    return table.sigmas_at(table.last - behind)


def _beta(table: SigmaTable, steps: int) -> Levels:
    """Timesteps at the quantiles of Beta(0.6, 0.6): denser at both ends (Lee et al. 2024, "Beta Sampling")."""
    shares = 1 - np.arange(steps) / steps
    return table.sigmas_at(table.last * np.array([beta_quantile(share, _BETA_SHAPE) for share in shares]))


def _align_your_steps(table: SigmaTable, steps: int) -> Levels:
    """The published sigmas, and for other numbers of steps those between them, log-linearly (Sabour et al. 2024)."""
    published = np.array(_ALIGNED[table.is_xl])
    places = np.linspace(0, len(published) - 1, steps + 1)[:-1]
    logs = np.interp(places, np.arange(len(published)), np.log(published))
    sigmas: Levels = np.exp(logs)
    return sigmas


# Sigma at the start of each step; every one of these schedules ends at 0.
SPREADS: dict[ScheduleName, Callable[[SigmaTable, int], Levels]] = {
    ScheduleName.SGM_UNIFORM: _sgm_uniform,
    ScheduleName.SIMPLE: _simple,
    ScheduleName.NORMAL: _normal,
    ScheduleName.BETA: _beta,
    ScheduleName.AYS: _align_your_steps,
}
