"""How well holes in pictures were filled: measures of composites against the truth."""

from dataclasses import dataclass

import torch
from torch import Tensor

MIN_BACKGROUND_PX = 16  # of a hole, for its background to be measured


@dataclass(frozen=True)
class Truth:
    """Pictures before they had a hole.

    Attributes:
        pictures: [N, 3, H, W] in [0, 1].
        alphas: of their glyphs [N, 1, H, W] in [0, 1].
        mask: true in the hole [1, H, W], the same for all.
    """

    pictures: Tensor
    alphas: Tensor
    mask: Tensor


def psnr(made: Tensor, truth: Truth) -> float:
    """Mean peak signal-to-noise ratio in dB inside the hole of composites [N, 3, H, W] in [0, 1]."""
    inside = (made - truth.pictures)[:, :, truth.mask[0]]
    return float((-10 * inside.square().mean(dim=(1, 2)).clamp(min=1e-10).log10()).mean())


def seam(made: Tensor, truth: Truth) -> float:
    """Mean absolute difference between neighbouring pixels on the two sides of the hole's edge, over the truth's."""
    return float(_steps(made, truth.mask) / _steps(truth.pictures, truth.mask))


def _steps(pictures: Tensor, mask: Tensor) -> Tensor:
    steps = [pictures.diff(dim=dim).abs()[:, :, mask[0].diff(dim=dim)] for dim in (-1, -2)]
    return torch.cat(steps, dim=-1).mean()


def background_error(made: Tensor, truth: Truth) -> float:
    """How far the background's colour inside the hole is from the one outside, in 1/255, mean over channels.

    The median of the hole's pixels that the true glyph leaves free, so that a glyph drawn a little wider does not
    count. Pictures whose glyph leaves fewer than 16 are left out.
    """
    errors = []
    for picture, whole, alpha in zip(made, truth.pictures, truth.alphas, strict=True):
        free = alpha[0] == 0
        inside, outside = free & truth.mask[0], free & ~truth.mask[0]
        if int(inside.sum()) >= MIN_BACKGROUND_PX and bool(outside.any()):
            colours = picture[:, inside].median(dim=1).values, whole[:, outside].median(dim=1).values
            errors.append((colours[0] - colours[1]).abs().mean() * 255)
    return float(torch.stack(errors).mean())
