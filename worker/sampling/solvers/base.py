"""Solvers of the reverse diffusion, all in the notation of ``worker/sampling/schedules.py``.

From one noise level to the next (primed), a first-order step takes the exact solution of the probability flow for a
constant estimate D of the clean latents, and adds fresh noise:

    x' = a' (sigma_down (x / s) + (1 - sigma_down / sigma) D + sigma_up eps)

DDIM (Song et al. 2021) and Euler (Karras et al. 2022, in the variance exploding x / a) are one method: sigma_down is
sigma', D the estimate itself; they differ in where they put the levels. With an eta, DDIM goes down further and comes
back up with noise, as the ancestral Euler does. The others make D of several estimates: DPM-Solver++(2M) and its SDE
form (Lu et al. 2022), PNDM (Liu et al. 2022), UniPC (Zhao et al. 2023); or integrate over several: Heun and LMS (Karras
et al. 2022, Crowson 2022).
"""

import json
import math
from collections.abc import Sequence
from typing import Any

import torch
from numpy.polynomial import polynomial
from torch import Tensor

from jobs.requests.request import SamplerName
from worker.sampling.schedules import Step, planned

_DPMPP = {SamplerName.DPMPP_2M, SamplerName.DPMPP_2M_KARRAS, SamplerName.DPMPP_2M_SDE_KARRAS}
# Lu et al. take a first-order last step when there are few, which is more stable; diffusers draws the line here.
_FEW_STEPS = 15
# Weights of the present and past outputs in methods of Adams and Bashforth, by how many there are.
_ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


class Solver:
    """One run of a solver over one picture. Not shared: it remembers past estimates.

    Guidance never enters this memory. It moves the latents after a step (``shifted``), as far as a first-order step of
    the same solver would have carried it; so a multistep method extrapolates the model's own estimates only.

    Attributes:
        steps: the plan.
    """

    def __init__(self, name: SamplerName, config: dict[str, Any], steps: int, eta: float = 0.0) -> None:
        """Plan ``steps`` steps of the noise schedule that a model's scheduler ``config`` describes.

        Args:
            name: which solver.
            config: of the scheduler.
            steps: how many.
            eta: share of fresh noise in DDIM; 1 makes it DDPM. The others have none, or their own.
        """
        self._name = name
        self.steps, self._initial_scale = planned(name, json.dumps(config, sort_keys=True), steps, eta)
        self._past: list[Tensor] = []  # what the method remembers of each step, the latest first
        self._start: Tensor | None = None  # the latents where the last step started
        self._order = 1  # of the last step, for UniPC
        self._marked: tuple[list[Tensor], Tensor | None, int] = ([], None, 1)

    def initial(self, noise: Tensor) -> Tensor:
        """The latents to start from, for standard normal ``noise``."""
        return noise * self._initial_scale

    def advance(
        self, index: int, stage: int, x: Tensor, output: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The latents after one of the timesteps of a step.

        Args:
            index: number of the step.
            stage: number of the timestep within it.
            x: what the UNet was asked about.
            output: its answer.
            generator: where noise comes from, if the method adds any.
        """
        step = self.steps[index]
        if stage:
            return self._corrected(index, x, output)
        denoised = step.denoised(output, x)
        match self._name:
            case SamplerName.LMS:
                return self._linear_multistep(index, x, denoised)
            case SamplerName.PNDM:
                self._remember(output, keep=4)
                weights = _ADAMS_BASHFORTH[len(self._past) - 1]
                output = sum(
                    (w * past for w, past in zip(weights[1:], self._past[1:], strict=True)),
                    weights[0] * output,
                )
                denoised = step.denoised(output, x)
            case SamplerName.UNIPC:
                x, denoised = self._unified(index, x, denoised)
            case name if name in _DPMPP:
                denoised = self._extrapolated(index, denoised)
            case SamplerName.HEUN:
                self._past = [step.noise(denoised, x)]
        self._start = x
        following = step.first_order(x, denoised)
        if step.up:
            noise = torch.randn(x.shape, generator=generator, dtype=torch.float32).to(x)
            following = following + (step.a_next * step.up) * noise
        return following

    def shifted(self, index: int, latents: Tensor, shift: Tensor) -> Tensor:
        """The latents after step ``index``, moved; and the memory as if they had been on their way there all along."""
        step = self.steps[index]
        if step.s_next:
            eps = shift / step.s_next
            match self._name:
                case SamplerName.LMS:
                    self._past = [past + eps for past in self._past]
                case SamplerName.PNDM:
                    for age, output in enumerate(self._past):
                        past = self.steps[index - age]
                        self._past[age] = output - past.keep * past.s / past.gain * eps
                case SamplerName.UNIPC if self._start is not None:
                    self._start = self._start + step.s * eps
        return latents + shift

    def mark(self) -> None:
        """Remember the memory as it is before a step that may be taken again."""
        self._marked = list(self._past), self._start, self._order

    def renoised(self, latents: Tensor, step: Step, noise: Tensor) -> Tensor:
        """Back to the start of a step: the memory as it was marked, the latents with the step's noise added again."""
        past, self._start, self._order = self._marked
        self._past = list(past)
        return math.sqrt(step.alpha) * latents + math.sqrt(1 - step.alpha) * noise

    def _remember(self, value: Tensor, keep: int) -> None:
        self._past = [value, *self._past[: keep - 1]]

    def _corrected(self, index: int, x: Tensor, output: Tensor) -> Tensor:
        """The step taken again with the mean of what was found at its start and at its end."""
        assert self._start is not None
        step, start = self.steps[index], self._start
        if self._name is SamplerName.PNDM:
            return step.first_order(start, step.denoised((self._past[0] + output) / 2, start))
        end = self.steps[index + 1]
        eps = (self._past[0] + end.noise(end.denoised(output, x), x)) / 2
        return step.a_next * (start / step.a + (step.sigma_next - step.sigma) * eps)

    def _extrapolated(self, index: int, denoised: Tensor) -> Tensor:
        """D of DPM-Solver++(2M): the estimate in the middle of the step, on the line through the last two."""
        step, last = self.steps[index], self._past[:1]
        self._remember(denoised, keep=1)
        final = index == len(self.steps) - 1
        if not last or (final and (len(self.steps) < _FEW_STEPS or step.s_next == 0)):
            return denoised
        r = (step.log_snr - self.steps[index - 1].log_snr) / (step.log_snr_next - step.log_snr)
        return denoised + (denoised - last[0]) / (2 * r)

    def _linear_multistep(self, index: int, x: Tensor, denoised: Tensor) -> Tensor:
        """The integral of the polynomial through the last four slopes dz / dsigma = eps of z = x / a."""
        step = self.steps[index]
        self._remember(step.noise(denoised, x), keep=4)
        sigmas = [self.steps[index - age].sigma for age in range(len(self._past))]
        change = torch.zeros_like(x)
        for weight, eps in zip(_lagrange_weights(sigmas, step.sigma_next), self._past, strict=True):
            change = change + weight * eps
        return step.a_next * (x / step.a + change)

    def _unified(self, index: int, x: Tensor, denoised: Tensor) -> tuple[Tensor, Tensor]:
        """UniPC of second order in its B2 form: x as the last step's end taken anew, and D for the next.

        Zhao et al. 2023, algorithms 5 and 6 (data prediction): the last step is corrected by the estimate at its end,
        which costs no further answer of the UNet.
        """
        if self._start is not None:
            last = self.steps[index - 1]
            h = last.log_snr_next - last.log_snr
            phi = math.expm1(-h)
            b = [phi / -h - 1]
            b.append(b[0] / -h - 1 / 2)
            b = [b[0] / phi, 2 * b[1] / phi]
            turn = denoised - self._past[0]
            if self._order == 1:
                bend = turn / 2
            else:
                r = (self.steps[index - 2].log_snr - last.log_snr) / h
                past_share = (b[0] - b[1]) / (1 - r)
                bend = past_share * (self._past[1] - self._past[0]) / r + (b[0] - past_share) * turn
            x = last.first_order(self._start, self._past[0] + bend)
        self._remember(denoised, keep=2)
        self._order = min(2, len(self.steps) - index, len(self._past))
        if self._order == 2:
            step, before = self.steps[index], self.steps[index - 1]
            r = (before.log_snr - step.log_snr) / (step.log_snr_next - step.log_snr)
            denoised = denoised + (self._past[1] - denoised) / (2 * r)
        return x, denoised


def _lagrange_weights(nodes: Sequence[float], end: float) -> list[float]:
    """Weights of values at ``nodes`` in the integral from the first node to ``end`` of the polynomial through them."""
    weights = []
    for node in nodes:
        others = [other for other in nodes if other != node]
        integral = polynomial.polyint(polynomial.polyfromroots(others))
        from_to = polynomial.polyval([nodes[0], end], integral)
        weights.append(float(from_to[1] - from_to[0]) / math.prod(node - other for other in others))
    return weights
