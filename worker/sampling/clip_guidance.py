"""CLIP guidance of one picture over its run, as generators that yield model calls for the sampler."""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from jobs.requests.guidance import ResolvedGuidance
from jobs.requests.presets import PRESETS
from jobs.status.job import GuidedStep
from worker.calls import Guide, PullBack
from worker.events import Yield
from worker.guidance.gradient import NO_GRADIENT, Gradient, of_soft_minimum
from worker.guidance.objectives import Loss
from worker.sampling import rule
from worker.sampling.guidance_draws import GuidanceDraw, guidance_draws
from worker.sampling.noise import Ahead
from worker.sampling.prediction import Prediction
from worker.sampling.step import Step
from worker.sampling.step_losses import StepLosses
from worker.sampling.targets import Targets
from worker.states.guidance import GuidanceMemory
from worker.states.state import GuidanceState


@dataclass(frozen=True)
class Update:
    """The change of one step by guidance, in the UNet's convention."""

    shift: Tensor  # added to the latents after the step, [1, C, h, w]
    displacement: Tensor  # of the estimate x0, [1, C, h, w]


class ClipGuidance:
    """Decides for every step whether and how to guide, and keeps the trace."""

    def __init__(
        self,
        guidance: ResolvedGuidance,
        targets: Targets,
        steps: Sequence[Step],
        *,
        model: str,
        size: tuple[int, int],
        shape: tuple[int, int, int, int],
        device: torch.device,
        generator: torch.Generator,
        first: int = 0,
        state: GuidanceState | None = None,
    ) -> None:
        """Start a run, or go on with one.

        Args:
            guidance: of the request.
            targets: the losses of its objectives.
            steps: of the solver.
            first: number of the first that is taken.
            model: id of the diffusion model that decodes.
            size: height and width of the picture in pixels.
            shape: of its latents.
            device: of its latents.
            generator: of the picture, for all random numbers of guidance.
            state: to go on from; None starts.
        """
        self._guidance = guidance
        self._preset = PRESETS[guidance.preset]
        self._steps = steps
        self._window = guidance.window(len(steps), first)
        self._due = self._window[:: guidance.stride]
        self._model = model
        self._device = device
        self._memory = memory = GuidanceMemory.of(state, device)
        if memory.generator is not None:
            generator.set_state(memory.generator)
        losses = StepLosses(guidance, targets, size, generator, device)
        progress = [index / len(steps) for index in self._due]
        draws = guidance_draws(guidance, losses, progress, shape, generator, device, memory.draws)
        self._draws: Ahead[GuidanceDraw] = Ahead(draws, 1)  # one step ahead, since cutouts take much memory
        self._drawn: GuidanceDraw | None = None  # for the next gradient

    @property
    def trace(self) -> tuple[GuidedStep, ...] | None:
        """Every guided step so far; None unless the request asks for it."""
        return tuple(self._memory.trace) if self._guidance.trace else None

    def point(self) -> Callable[[], GuidanceState]:
        """Gives the state of the run as it is now, at any time until the next step."""
        return self._memory.point()

    def rounds(self, index: int) -> int:
        """How often to take step ``index``."""
        return self._guidance.recurrences if self._is_due(index) else 1

    def fresh_noise(self) -> Tensor:
        """Noise for taking a step again."""
        self._drawn = self._next_draw()
        assert self._drawn.fresh is not None
        return self._drawn.fresh.to(self._device, non_blocking=True)

    def update(self, index: int, prediction: Prediction, model: str) -> Generator[Yield, Any, Update | None]:
        """The update of step ``index``, whose prediction is of this model; None for no change."""
        if self._is_due(index):
            drawn, self._drawn = self._drawn or self._next_draw(), None
            self._memory.last = (
                None
                if drawn.loss is None
                else (yield from self._scaled_gradients(index, prediction, drawn, model))
            )
        elif not (self._guidance.reuse and self._is_within(index)):
            return None
        if self._memory.last is None:
            return None
        noisy, displacement = self._memory.last
        step = self._steps[index]
        shift = rule.shift(self._preset, step, noisy, displacement)
        nothing = torch.zeros_like(prediction.x)
        return Update(nothing + shift, nothing + displacement)

    def _next_draw(self) -> GuidanceDraw:
        drawn = next(self._draws)
        self._memory.draws, self._memory.generator = self._memory.draws + 1, drawn.after
        return drawn

    def _is_within(self, index: int) -> bool:
        patience = self._guidance.patience
        return index in self._window and not (patience and self._memory.since_best >= patience)

    def _is_due(self, index: int) -> bool:
        return self._is_within(index) and index in self._due

    def _scaled_gradients(
        self, index: int, prediction: Prediction, drawn: GuidanceDraw, model: str
    ) -> Generator[Yield, Any, tuple[Tensor | None, Tensor | float] | None]:
        """The noisy gradient D and the displacement of x0 (see ``rule``); None when a gradient is not finite."""
        guidance, preset, step = self._guidance, self._preset, self._steps[index]
        loss, noise = drawn.loss, self._smoothing_noise(step, drawn, prediction.x)
        assert loss is not None
        gradients: list[Gradient] = []
        noisy: Tensor | None = None
        # D is relative to sigma, which is infinite in noise alone.
        if guidance.rho and not step.starts_from_noise_alone:
            gradient = yield from self._noisy_gradient(step, prediction, loss, noise, model)
            gradients.append(gradient)
            strength = guidance.rho * rule.factor(preset.rho_factor, index, self._steps)
            noisy = strength * self._normalized(gradient, prediction)
        displacement = rule.start(preset, step, noisy)
        if guidance.mu:
            denoised = step.denoised(prediction.output, prediction.x)
            strength = guidance.mu * rule.factor(preset.mu_factor, index, self._steps)
            for _ in range(guidance.iterations):
                gradient = yield from self._gradient(denoised + displacement, loss, noise)
                gradients.append(gradient)
                displacement = displacement - strength * self._normalized(gradient, prediction)
        return (noisy, displacement) if gradients and self._note(index, gradients) else None

    def _normalized(self, gradient: Gradient, prediction: Prediction) -> Tensor:
        value, correction, mask = gradient.value, prediction.correction, prediction.mask
        if mask is None:
            return self._scaled(value, correction, gradient.loss)
        if self._preset.normalize == "polyak":  # a sum over all latents, not a mean
            return self._scaled(mask * value, correction, gradient.loss)
        # Norms are those of the latents that may change: so a small mask is guided as strongly as a whole picture.
        share = mask.to(value.dtype).mean().clamp(min=1e-12).sqrt()
        return share * self._scaled(mask * value / share, mask * correction / share, gradient.loss)

    def _scaled(self, gradient: Tensor, correction: Tensor, loss: float) -> Tensor:
        return rule.scaled_gradient(
            gradient,
            self._preset,
            loss=loss,
            scale=self._guidance.scale,
            clamp=self._guidance.clamp,
            correction=correction,
        )

    def _smoothing_noise(self, step: Step, drawn: GuidanceDraw, like: Tensor) -> Tensor | None:
        if drawn.smoothing is None:
            return None
        return self._guidance.smoothing * step.s * drawn.smoothing.to(like, non_blocking=True)

    def _gradient(self, latents: Tensor, loss: Loss, noise: Tensor | None) -> Generator[Yield, Any, Gradient]:
        """The gradient at these latents, of -log mean exp(-L) over the noise where there is any."""
        if noise is None:
            gradient: Gradient = yield Guide(self._model, latents, loss, self._guidance.decoder)
            return gradient
        drawn: list[Gradient] = []
        for sample in noise.split(1):
            drawn.append((yield Guide(self._model, latents + sample, loss, self._guidance.decoder)))
        return of_soft_minimum(drawn)

    def _noisy_gradient(
        self, step: Step, prediction: Prediction, loss: Loss, noise: Tensor | None, model: str
    ) -> Generator[Yield, Any, Gradient]:
        """dL/dx by the chain rule: L is taken at points that are sums of x and of the UNet's outputs for x."""
        source = prediction.conditional() if self._preset.through == "conditional" else prediction
        estimate = step.denoised(source.output, source.x)
        blend = step.s if self._preset.blend else 1.0
        seen, clean = loss.divided if blend != 1 else (loss, None)
        of_blend, of_estimate = NO_GRADIENT, NO_GRADIENT
        if seen is not None:
            point = blend * estimate + (1 - blend) * source.x
            of_blend = (yield from self._gradient(point, seen, noise)).masked(source.mask)
        if clean is not None:
            of_estimate = (yield from self._gradient(estimate, clean, None)).masked(source.mask)
        towards = blend * of_blend.value + of_estimate.value
        back: Tensor = yield PullBack(
            model, source.x, source.timestep, source.rows, step.gain * source.weights * towards
        )
        value = step.keep * towards + (1 - blend) * of_blend.value + back
        gradient = of_blend.beside(of_estimate, value)
        return replace(gradient, finite=gradient.finite and bool(value.isfinite().all()))

    def _note(self, index: int, gradients: list[Gradient]) -> bool:
        """Add a step to the trace and to the patience; whether the gradients are finite."""
        first = gradients[0]
        finite = all(gradient.finite for gradient in gradients)
        if self._guidance.trace:
            losses = [first.losses.get(number) for number in range(len(self._guidance.objectives))]
            self._memory.trace.append(
                GuidedStep(
                    step=index,
                    loss=_or_none(first.loss),
                    losses=tuple(_or_none(loss) for loss in losses),
                    gradient_rms=float(rule.rms(first.value)) if finite else None,
                    skipped=not finite,
                )
            )
        self._memory.note_loss(first.loss)
        return finite


def _or_none(loss: float | None) -> float | None:
    """JSON knows neither infinity nor NaN."""
    return loss if loss is not None and math.isfinite(loss) else None
