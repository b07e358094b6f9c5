"""Where a run starts, and what of a picture it keeps: pure noise, a picture with noise on it, or one with a mask."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import JobFailedError
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.mask import Fill
from worker.calls import Encode
from worker.events import Yield
from worker.facts import ModelFacts
from worker.kept import Kept
from worker.sampling.inputs import SamplerInputs
from worker.sampling.linear_run import LinearRun
from worker.sampling.step import Step

# The noise that fills a hole is a stream of its own, so that the seed's noise stays what it is.
FILL_STREAM = 0x517CC1B727220A95


@dataclass(frozen=True, eq=False)
class Source:
    """The latents that a run starts from, and those that it keeps.

    Attributes:
        x0: latents of a picture, [1, C, h, w]; None without one.
        strength: share of the run; 1 starts from pure noise.
        levels: of the mask, from 0 (kept) to 1, [1, 1, h, w]; None if nothing is kept.
        soft: whether levels between 0 and 1 are painted in the last part of the run only; they are 0 and 1 otherwise.
    """

    x0: Tensor | None = None
    strength: float = 1.0
    levels: Tensor | None = None
    soft: bool = False

    def start(
        self, noise: Tensor, run: LinearRun, device: torch.device, filled: Tensor | None = None
    ) -> Tensor:
        """The latents before the first step of a run, a x0 + s eps, [1, C, h, w] on the device.

        Args:
            noise: eps, standard normal, [1, C, h, w] on the CPU.
            run: whose first step has the levels a and s.
            device: of the model.
            filled: what is in the hole of the mask at first, [1, C, h, w] on the CPU; None for the picture's latents.
        """
        pure = (run.initial_scale * noise).to(device)
        if self.x0 is None:
            return pure
        step, hole = run.steps[run.first], self.hole
        x0 = self.x0 if filled is None or hole is None else torch.where(hole, filled.to(device), self.x0)
        noisy = step.a * x0 + step.s * noise.to(device)
        if self.strength < 1:
            return noisy
        return pure if hole is None else torch.where(hole, pure, noisy)

    @property
    def hole(self) -> Tensor | None:
        """Whether a latent is painted anew at some time, bool [1, 1, h, w]; None if all are."""
        return None if self.levels is None else self.levels > 0

    def kept(self, level: Step, progress: float) -> Kept | None:
        """What is kept at a call of the denoiser; None if nothing is.

        Args:
            level: the step that starts at the call's noise level.
            progress: share of the steps that are run that lies before the call's step.
        """
        if self.levels is None or self.x0 is None:
            return None
        # Levin & Fried 2023, Differential Diffusion: a mask's level is the share of the run that paints there.
        mask = self.levels >= 1 - progress if self.soft else self.levels > 0
        return Kept(self.x0, mask, level.keep, level.gain)

    def finished(self, x: Tensor) -> Tensor:
        """The latents at the end: those outside the mask are the picture's own."""
        hole = self.hole
        return x if hole is None or self.x0 is None else torch.where(hole, x, self.x0)


def source_of(
    request: ResolvedRequest, model: ModelFacts, inputs: SamplerInputs
) -> Generator[Yield, Any, Source]:
    """The source of a request's pictures. It does not depend on their seeds.

    Raises:
        JobFailedError: the mask lies wholly outside the part of the picture that is left.
    """
    init, mask = request.init, request.mask
    if init is None or (init.starts_from_noise and mask is None):
        return Source()
    assert inputs.canvas is not None
    x0: Tensor = yield Encode(request.model, inputs.canvas)
    if mask is None:
        return Source(x0, init.strength)
    assert inputs.canvas.mask is not None
    levels = latent_levels(inputs.canvas.mask, model.latent_factor)
    if not mask.soft:
        levels = (levels > 0).float()
    if not levels.any():
        raise JobFailedError("the mask lies wholly outside the part of the picture that `init.fit` leaves")
    return Source(x0, init.strength, levels.to(model.device), mask.soft)


def latent_levels(mask: Tensor, factor: int) -> Tensor:
    """The levels [1, 1, h, w] in [0, 1] of a mask of pixels, uint8 [1, H, W], at the latents.

    Each is the largest of its pixels: their mean, or one of them, would lose thin strokes.
    """
    return F.max_pool2d(mask[None].float() / 255, factor)


def filling(request: ResolvedRequest, seed: int, shape: tuple[int, ...]) -> Tensor | None:
    """What is in the hole of a mask at first, [1, C, h, w] on the CPU; None for the picture's own latents."""
    match None if request.mask is None else request.mask.fill:
        case Fill.NOISE:
            return torch.randn(shape, generator=torch.Generator().manual_seed((seed ^ FILL_STREAM) % 2**63))
        case Fill.NOTHING:
            return torch.zeros(shape)
    return None
