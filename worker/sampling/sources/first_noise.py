"""The noise that a picture starts with: of its seed, or between that of two seeds."""

import torch
from torch import Tensor

from jobs.requests.request import ResolvedRequest
from worker.aesthetics.personalization import slerp


def first_noise(request: ResolvedRequest, index: int, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """The noise that picture ``index`` of a request starts with, standard normal.

    A variation turns it towards that of another seed, by a share of the angle between the two.

    Args:
        request: of the job.
        index: of the picture.
        shape: of the latents, [1, C, h, w].
        rng: of the picture's seed.
    """
    noise, variation = torch.randn(shape, generator=rng), request.variation
    if variation is None or variation.strength == 0:
        return noise
    other = torch.randn(shape, generator=torch.Generator().manual_seed(variation.seed + index))
    if variation.strength == 1:
        return other
    return slerp(noise.flatten(), other.flatten(), variation.strength).view(shape)
