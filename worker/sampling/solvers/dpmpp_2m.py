"""DPM-Solver++(2M) and its SDE form (Lu et al. 2022): D extrapolated from the last two estimates."""

from diffusers import DPMSolverMultistepScheduler
from torch import Tensor

from worker.sampling.noise_schedule import NoiseLevels
from worker.sampling.solvers.base import Solver

# Lu et al. take a first-order last step in short runs, for stability; diffusers sets this limit.
_FEW_STEPS = 15


class Dpmpp2M(Solver):
    """Lu et al. 2022, algorithm 2: D in the middle of the step, on the line through the last two estimates."""

    __slots__ = ()

    levels = NoiseLevels(DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++"})

    def _advanced(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        step = self.steps[index]
        denoised = step.denoised(output, x)
        last, self.past = self.past, (denoised,)
        if last and not self._ends_first_order(index):
            denoised = self._extrapolated(index, denoised, last[0])
        return step.first_order(x, denoised)

    def _extrapolated(self, index: int, denoised: Tensor, last: Tensor) -> Tensor:
        """The estimate that stands for the whole step, of that at its start and the one before."""
        step = self.steps[index]
        h, h_last = step.log_snr_next - step.log_snr, step.log_snr - self.steps[index - 1].log_snr
        r = h_last / h
        return denoised + (denoised - last) / (2 * r)

    def _ends_first_order(self, index: int) -> bool:
        final = index == len(self.steps) - 1
        return final and (len(self.steps) < _FEW_STEPS or self.steps[index].s_next == 0)


class Dpmpp2MSde(Dpmpp2M):
    """The same on the reverse SDE, which adds fresh noise at each step (SDE-DPM-Solver++(2M))."""

    __slots__ = ()

    own_eta = 1.0
