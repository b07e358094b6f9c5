"""The linear multistep method of Adams and Bashforth over unequal steps in sigma."""

import math
from functools import lru_cache

import torch
from diffusers import EulerDiscreteScheduler
from numpy.polynomial import polynomial
from torch import Tensor

from worker.sampling.noise_schedule import NoiseLevels
from worker.sampling.solvers.base import Solver

_ORDER = 4


class Lms(Solver):
    """z' = z + the integral of the polynomial through the last four slopes dz / dsigma (Crowson 2022).

    Its levels are Euler's: those of diffusers' own LMS scheduler are the same, and need scipy.
    """

    __slots__ = ()

    levels = NoiseLevels(EulerDiscreteScheduler, exploding=True)

    def _advanced(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        step = self.steps[index]
        self.past = (step.noise(step.denoised(output, x), x), *self.past[: _ORDER - 1])
        sigmas = tuple(self.steps[index - age].sigma for age in range(len(self.past)))
        change = torch.zeros_like(x)
        for weight, slope in zip(_integral_weights(sigmas, step.sigma_next), self.past, strict=True):
            change = change + weight * slope
        return step.a_next * (x / step.a + change)

    def _shift_memory(self, index: int, eps: Tensor) -> None:  # noqa: ARG002 - slopes are alike at all levels
        self.past = tuple(slope + eps for slope in self.past)


@lru_cache(maxsize=4096)
def _integral_weights(nodes: tuple[float, ...], end: float) -> tuple[float, ...]:
    """Weights of the values at ``nodes`` in the integral, from the first node to ``end``, of Lagrange's polynomial."""
    weights = []
    for node in nodes:
        others = [other for other in nodes if other != node]
        integral = polynomial.polyint(polynomial.polyfromroots(others))
        from_to = polynomial.polyval([nodes[0], end], integral)
        weights.append(float(from_to[1] - from_to[0]) / math.prod(node - other for other in others))
    return tuple(weights)
