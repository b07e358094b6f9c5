"""UniPC of second order: a predictor, and a corrector that reuses the next step's UNet call."""

import math

from diffusers import UniPCMultistepScheduler
from torch import Tensor

from worker.sampling.noise_schedule import NoiseLevels
from worker.sampling.solvers.base import Solver


class UniPc(Solver):
    """Zhao et al. 2023, algorithms 5 and 6, predicting x0, with B_2(h) = e^h - 1."""

    __slots__ = ()

    levels = NoiseLevels(UniPCMultistepScheduler)

    def _advanced(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        step = self.steps[index]
        denoised = step.denoised(output, x)
        if self.past:
            x = self._last_end(index, denoised)
        self.past, self.start = (denoised, *self.past[:1]), x
        return step.first_order(x, self._predicted(index))

    def _predicted(self, index: int) -> Tensor:
        """UniP: D in the middle of the step, on the line through the last two estimates."""
        denoised = self.past[0]
        if len(self.past) == 1 or index == len(self.steps) - 1:
            return denoised
        step, last = self.steps[index], self.steps[index - 1]
        r = (last.log_snr - step.log_snr) / (step.log_snr_next - step.log_snr)
        return denoised + (self.past[1] - denoised) / (2 * r)

    def _last_end(self, index: int, denoised: Tensor) -> Tensor:
        """UniC: the last step's end anew, from the estimate that the UNet has made there."""
        assert self.start is not None
        last = self.steps[index - 1]
        h = last.log_snr_next - last.log_snr
        change = denoised - self.past[0]
        if len(self.past) == 1:
            return last.first_order(self.start, self.past[0] + change / 2)
        b = _integrals(h)
        r = (self.steps[index - 2].log_snr - last.log_snr) / h
        rho = (b[0] - b[1]) / (1 - r)
        bend = rho * (self.past[1] - self.past[0]) / r + (b[0] - rho) * change
        return last.first_order(self.start, self.past[0] + bend)

    def _shift_memory(self, index: int, eps: Tensor) -> None:
        if self.start is not None:
            self.start = self.start + self.steps[index].s * eps


def _integrals(h: float) -> tuple[float, float]:
    """The right-hand side b of the system for the corrector's weights, over B_2(h)."""
    phi = math.expm1(-h)
    first = phi / -h - 1
    second = first / -h - 1 / 2
    return first / phi, 2 * second / phi
