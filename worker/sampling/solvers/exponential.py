"""Multistep solvers of the reverse SDE that integrate a polynomial through the last estimates over a step.

With lambda = -log sigma and H = 2 (lambda' - lambda), z' is e^-H z, the integral of H e^(-H (1 - tau)) D(tau) for tau
from 0 to 1, and fresh noise of sigma_up.
"""

import math

from diffusers import EulerDiscreteScheduler
from torch import Tensor

from worker.sampling.noise_schedule import NoiseLevels
from worker.sampling.solvers.base import Solver
from worker.sampling.solvers.dpmpp_2m import Dpmpp2MSde


class Dpmpp2MSdeHeun(Dpmpp2MSde):
    """SDE-DPM-Solver++(2M) whose line through the last two estimates is integrated, not taken in the middle.

    Crowson 2022, ``sample_dpmpp_2m_sde``, and diffusers call this kind "heun". It makes one call a step.
    """

    __slots__ = ()

    def _extrapolated(self, index: int, denoised: Tensor, last: Tensor) -> Tensor:
        step = self.steps[index]
        h = step.log_snr_next - step.log_snr
        r = (step.log_snr - self.steps[index - 1].log_snr) / h
        return denoised + (_phi(2 * h) / -math.expm1(-2 * h) / r) * (denoised - last)


class Dpmpp3MSde(Solver):
    """DPM-Solver++(3M) on the reverse SDE (Crowson 2022, ``sample_dpmpp_3m_sde``, after Lu et al. 2022).

    The square term has half the weight that the integral of the parabola through three estimates would give it, as
    there.
    """

    __slots__ = ()

    levels = NoiseLevels(EulerDiscreteScheduler, exploding=True)
    own_eta = 1.0

    def _advanced(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        step = self.steps[index]
        denoised = step.denoised(output, x)
        following = step.first_order(x, denoised)
        past, self.past = self.past, (denoised, *self.past[:1])
        if not past or step.s_next == 0:
            return following
        h = step.log_snr_next - step.log_snr
        r = [
            (self.steps[index - age].log_snr - self.steps[index - age - 1].log_snr) / h
            for age in range(len(past))
        ]
        slope, bend = (denoised - past[0]) / r[0], None
        if len(past) > 1:
            bend = (slope - (past[0] - past[1]) / r[1]) / (r[0] + r[1])
            slope = slope + r[0] * bend
        following = following + (step.a_next * _phi(2 * h)) * slope
        return (
            following if bend is None else following - (step.a_next * (_phi(2 * h) / (2 * h) - 1 / 2)) * bend
        )


def _phi(h: float) -> float:
    """The integral of h e^(-h (1 - tau)) tau for tau from 0 to 1."""
    return math.expm1(-h) / h + 1
