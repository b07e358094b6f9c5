"""Cutouts: randomly moved and tinted views of a picture, so that CLIP's gradient is not of one framing alone.

All randomness of a step is drawn up front from the picture's own generator (``draw_views``), so neither the size of the
chunks in which views are made nor the jobs in the same batch can change the result.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

# LAION, "Guiding Stable Diffusion with OpenCLIP H & g" (2022): up to 5 degrees and 5 % of everything, a little noise.
MAX_ROTATION_RAD = math.radians(5)
MAX_TRANSLATION = 0.05
MAX_TINT = 0.05
NOISE_STD = 0.01


@dataclass(frozen=True)
class Views:
    """The random numbers of N views; all but ``noise`` are uniform in [-1, 1], of shape [N]."""

    rotation: Tensor
    shift_x: Tensor
    shift_y: Tensor
    window: Tensor  # where a square lies along the longer side of an oblong picture
    saturation: Tensor
    contrast: Tensor
    brightness: Tensor
    noise: Tensor  # standard normal, [N, 3, px, px]

    def __len__(self) -> int:
        return len(self.rotation)

    def part(self, start: int, stop: int) -> "Views":
        """Views ``start`` to ``stop``."""
        return Views(*(getattr(self, field.name)[start:stop] for field in fields(self)))

    @classmethod
    def together(cls, several: Sequence["Views"]) -> "Views":
        """The views of several pictures, one after the other."""
        if len(several) == 1:
            return several[0]
        return cls(*(torch.cat([getattr(one, field.name) for one in several]) for field in fields(cls)))

    def to(self, device: torch.device, dtype: torch.dtype) -> "Views":
        """The same numbers on another device."""
        return Views(*(getattr(self, field.name).to(device, dtype) for field in fields(self)))


def draw_views(count: int, px: int, generator: torch.Generator) -> Views:
    """Draw ``count`` views for a CLIP whose input is ``px`` pixels wide."""
    uniform = torch.rand(7, count, generator=generator, dtype=torch.float32) * 2 - 1
    noise = torch.randn(count, 3, px, px, generator=generator, dtype=torch.float32)
    rotation, shift_x, shift_y, window, saturation, contrast, brightness = uniform
    return Views(rotation, shift_x, shift_y, window, saturation, contrast, brightness, noise)


def make_views(pictures: Tensor, views: Views, px: int) -> Tensor:
    """Look at a picture in N ways, or at N pictures in one way each.

    Args:
        pictures: [1, 3, H, W] or [N, 3, H, W], nominally in [0, 1]; not clamped, since that would cut the gradient.
        views: the random numbers of N views.
        px: width and height of a view.

    Returns:
        [N, 3, px, px].
    """
    moved = _move(pictures, views)
    resized = F.interpolate(moved, (px, px), mode="bilinear", antialias=True, align_corners=False)
    return _tint(resized, views) + NOISE_STD * views.noise


def _move(pictures: Tensor, views: Views) -> Tensor:
    """A rotated and shifted square window of a picture for each view: [N, 3, S, S] with S the shorter side."""
    height, width = pictures.shape[-2:]
    side = min(height, width)
    share_x, share_y = side / width, side / height
    cos, sin = torch.cos(views.rotation * MAX_ROTATION_RAD), torch.sin(views.rotation * MAX_ROTATION_RAD)
    # Drawn a little beyond the ends and stopped there, so that the ends of an oblong picture are seen often enough.
    window = (1.25 * views.window).clamp(-1, 1)
    x = share_x * views.shift_x * MAX_TRANSLATION * 2 + (1 - share_x) * window
    y = share_y * views.shift_y * MAX_TRANSLATION * 2 + (1 - share_y) * window
    theta = torch.stack(
        [
            torch.stack([share_x * cos, -share_x * sin, x], dim=-1),
            torch.stack([share_y * sin, share_y * cos, y], dim=-1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [len(views), 3, side, side], align_corners=False)
    return F.grid_sample(
        pictures.expand(len(views), -1, -1, -1), grid, padding_mode="reflection", align_corners=False
    )


def _tint(pictures: Tensor, views: Views) -> Tensor:
    """Saturation, contrast and brightness, each up to 5 % more or less."""
    factor = {
        name: 1 + MAX_TINT * getattr(views, name).view(-1, 1, 1, 1) for name in ("saturation", "contrast")
    }
    grey = pictures.mean(dim=1, keepdim=True)
    pictures = grey + factor["saturation"] * (pictures - grey)
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    pictures = mean + factor["contrast"] * (pictures - mean)
    return pictures * (1 + MAX_TINT * views.brightness.view(-1, 1, 1, 1))
