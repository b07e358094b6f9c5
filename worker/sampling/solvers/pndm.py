"""PNDM without Runge-Kutta steps, also called PLMS: a linear multistep method on the UNet's outputs."""

from dataclasses import replace

from diffusers import PNDMScheduler
from torch import Tensor

from worker.sampling.noise_schedule import NoiseLevels, first_pair
from worker.sampling.solvers.base import Solver
from worker.sampling.step import Step

# Weights of the outputs, the latest first, in the methods of Adams and Bashforth of order 1 to 4.
_ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


class Pndm(Solver):
    """Liu et al. 2022, the linear multistep form, after a first step with the mean of the outputs at its ends."""

    __slots__ = ()

    levels = NoiseLevels(PNDMScheduler, {"skip_prk_steps": True}, grouped=first_pair)

    def _begun_at(self, first: int) -> tuple[Step, ...]:
        """The first step that is taken makes two calls, wherever it lies: the memory is empty there.

        A step from pure noise makes one, since its estimate does not depend on the latents.

        Diffusers slices its list of timesteps instead, and so asks from the third call on at a timestep of less noise
        than the latents have.
        """
        starts = [step.timesteps[:1] for step in self.steps]
        is_last = first + 1 == len(starts)
        again = () if is_last or self.steps[first].starts_from_noise_alone else starts[first + 1]
        twice = (*starts[first], *again)
        return tuple(
            replace(step, timesteps=twice if number == first else start)
            for number, (step, start) in enumerate(zip(self.steps, starts, strict=True))
        )

    def _advanced(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        step = self.steps[index]
        self.past, self.start = (output, *self.past[:3]), x
        weights = _ADAMS_BASHFORTH[len(self.past) - 1]
        output = weights[0] * output
        for weight, past in zip(weights[1:], self.past[1:], strict=True):
            output = output + weight * past
        return step.first_order(x, step.denoised(output, x))

    def _corrected(self, index: int, x: Tensor, output: Tensor) -> Tensor:  # noqa: ARG002 - it starts again
        """The first step again, with the mean of the outputs at its two ends."""
        assert self.start is not None
        step, start = self.steps[index], self.start
        return step.first_order(start, step.denoised((self.past[0] + output) / 2, start))

    def _shift_memory(self, index: int, eps: Tensor) -> None:
        steps = (self.steps[index - age] for age in range(len(self.past)))
        self.past = tuple(
            output - step.keep * step.s / step.gain * eps
            for output, step in zip(self.past, steps, strict=True)
        )
