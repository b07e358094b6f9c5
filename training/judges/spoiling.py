"""What the ConvNet's training pictures go through, so that it reads shapes: noise, blur, colour and geometry."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

GREY_SHARE = 0.25
BLUR_SHARE = 0.35
NOISE_SHARE = 0.4
MIRRORED_SHARE = 0.15
MAX_NOISE = 0.5  # standard deviation, of pictures in [-1, 1]
COARSE_PX = 8


def spoil(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Move, recolour, blur and add noise, each picture in its own way.

    Args:
        pictures: [N, 3, H, W] in [-1, 1].
        rng: the source of all randomness.

    Returns:
        The same shape, roughly in the same range.
    """
    return noisy(blurred(recoloured(moved(pictures, rng), rng), rng), rng)


def moved(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Turned by up to 17 degrees, 0.75 to 1.3 times as large, shifted by up to a fifth, some mirrored."""
    count = len(pictures)
    u = torch.rand(count, 5, generator=rng) * 2 - 1
    angle, scale = u[:, 0] * 0.3, 1.02 + 0.28 * u[:, 1]
    flip = torch.where(torch.rand(count, generator=rng) < MIRRORED_SHARE, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [
        torch.stack([cos * flip, -sin, 0.2 * u[:, 2]], -1),
        torch.stack([sin * flip, cos, 0.2 * u[:, 3]], -1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def recoloured(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Hue turned by up to 40 degrees, saturation from 0.3 to 1.5, some grey; contrast and brightness changed.

    What is left of a thing's colours then tells little of its name.
    """
    count = len(pictures)
    u = torch.rand(count, 5, generator=rng) * 2 - 1
    grey = pictures.mean(dim=1, keepdim=True)
    saturation = torch.where(u[:, 4].abs() < GREY_SHARE, torch.zeros(count), 0.9 + 0.6 * u[:, 1])
    turned = _turned(pictures - grey, u[:, 0] * math.radians(40)) * saturation.view(-1, 1, 1, 1)
    contrast, brightness = (0.85 + 0.35 * u[:, 2]).view(-1, 1, 1, 1), (0.2 * u[:, 3]).view(-1, 1, 1, 1)
    return (grey + turned) * contrast + brightness


def _turned(chroma: Tensor, angle: Tensor) -> Tensor:
    """Chroma [N, 3, H, W], whose channels sum to zero, turned about the grey axis (Rodrigues)."""
    sin = torch.sin(angle).view(-1, 1, 1, 1) / math.sqrt(3)
    crossed = chroma.roll(1, dims=1) - chroma.roll(-1, dims=1)
    return chroma * torch.cos(angle).view(-1, 1, 1, 1) + crossed * sin


def blurred(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Some at half the resolution, and back."""
    half = F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2.0, mode="bilinear")
    chosen = torch.rand(len(pictures), generator=rng) < BLUR_SHARE
    return torch.where(chosen.view(-1, 1, 1, 1), half, pictures)


def noisy(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Some with white noise of up to ``MAX_NOISE``."""
    u = torch.rand(len(pictures), 2, generator=rng)
    deviation = torch.where(u[:, 0] < NOISE_SHARE, MAX_NOISE * u[:, 1].square(), torch.zeros(len(pictures)))
    drawn = torch.randn(pictures.shape, generator=rng)
    return pictures + deviation.view(-1, 1, 1, 1) * drawn


def coarse(pictures: Tensor) -> Tensor:
    """Pictures [N, 3, H, W] of which only 8 x 8 colours are left: no thing can be told in them."""
    size = pictures.shape[-2:]
    small = F.adaptive_avg_pool2d(pictures, COARSE_PX)
    return F.interpolate(small, size, mode="bicubic", align_corners=False).clamp(-1, 1)
