"""All random numbers of a picture's guidance, in the order in which the run needs them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from jobs.requests.guidance import ResolvedGuidance
from worker.guidance.objectives import Loss
from worker.random_numbers import normal
from worker.sampling.step_losses import StepLosses


@dataclass(frozen=True, eq=False)
class GuidanceDraw:
    """Those of one gradient.

    Attributes:
        fresh: standard normal, for taking its step again, [1, C, h, w]; None the first time.
        loss: with its cutouts; None where no objective is active.
        smoothing: standard normal, to average the loss over, [samples, C, h, w]; None without smoothing.
        after: the state of the generator that the next ones are drawn from, bytes [N].
    """

    fresh: Tensor | None
    loss: Loss | None
    smoothing: Tensor | None
    after: Tensor


def guidance_draws(
    guidance: ResolvedGuidance,
    losses: StepLosses,
    progress: Sequence[float],
    shape: tuple[int, int, int, int],
    generator: torch.Generator,
    device: torch.device,
    used: int = 0,
) -> Iterator[GuidanceDraw]:
    """Draw for each time that a guided step is taken; patience may end a run before them all.

    Args:
        guidance: of the request.
        losses: draw from the same generator.
        progress: share of the run, from 0 to 1, at each guided step.
        shape: of the latents.
        generator: of the picture.
        device: that needs the numbers.
        used: number of the first ones that were drawn before the generator came to its state.
    """
    times = ((share, taken) for share in progress for taken in range(guidance.recurrences))
    for share, taken in islice(times, used, None):
        fresh = normal(shape, generator, device) if taken else None
        loss = losses.draw(share)
        smooths = loss is not None and guidance.smoothing
        samples = (guidance.smoothing_samples, *shape[1:])
        smoothing = normal(samples, generator, device) if smooths else None
        yield GuidanceDraw(fresh, loss, smoothing, generator.get_state())
