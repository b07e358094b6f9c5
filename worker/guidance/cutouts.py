"""Cutouts: views of a picture, moved and tinted at random, so that CLIP's gradient is not of one framing alone.

Every published way to cut is a way to draw the same numbers: a window for each view, and how it is turned and tinted.
All are drawn up front from the picture's own generator, so neither the size of the chunks in which views are made nor
the jobs in the same batch can change the result.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """How views differ from their windows: the greatest changes, the noise, the share of views with a property."""

    rotation_deg: float = 0.0
    shift: float = 0.0  # of the window's size
    tint: float = 0.0  # of saturation, contrast and brightness
    noise_std: float = 0.0
    mirrored: float = 0.0
    grey: float = 0.0


AUGMENTATIONS = {
    "none": Augmentation(),
    # LAION, "Guiding Stable Diffusion with OpenCLIP H & g" (2022): 5 degrees and 5 % of everything, a little noise.
    "laion": Augmentation(rotation_deg=5, shift=0.05, tint=0.05, noise_std=0.01),
    "disco": Augmentation(rotation_deg=10, shift=0.05, tint=0.1, noise_std=0.01, mirrored=0.5, grey=0.1),
}


@dataclass(frozen=True)
class Cut:
    """How the views of one step are drawn.

    Attributes:
        overview: number of views of the whole shorter side.
        inner: number of crops.
        cut_pow: crops have the size (u ** cut_pow) of the way from CLIP's input to the shorter side (Crowson 2021).
        stratified: draw the u of the crops one from each equal part of [0, 1].
        inner_grey: share of the crops that are grey.
        augmentation: how views are moved and tinted.
    """

    overview: int
    inner: int = 0
    cut_pow: float = 1.0
    stratified: bool = False
    inner_grey: float = 0.0
    augmentation: Augmentation = AUGMENTATIONS["none"]

    def __len__(self) -> int:
        return self.overview + self.inner


@dataclass(frozen=True)
class Views:
    """N square views of a picture. All but ``noise`` are of shape [N]; places are in [-1, 1] as for ``grid_sample``."""

    size: Tensor  # side of the window, as a share of the picture's shorter side
    x: Tensor  # its centre
    y: Tensor
    rotation: Tensor  # in radians
    mirror: Tensor  # 1, or -1 for a mirrored view
    saturation: Tensor  # factors; 0 is grey
    contrast: Tensor
    brightness: Tensor
    noise: Tensor  # [N, 3, px, px]

    def __len__(self) -> int:
        return len(self.size)

    @property
    def px(self) -> int:
        """Width and height of a view."""
        return self.noise.shape[-1]

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


def draw_views(cut: Cut, size: tuple[int, int], px: int, generator: torch.Generator) -> Views:
    """Draw the views of one step.

    Args:
        cut: how many and of what kind.
        size: height and width of the picture in pixels.
        px: width of the CLIP's input.
        generator: the picture's own.
    """
    count, changes = len(cut), cut.augmentation
    uniform = torch.rand(11, count, generator=generator, dtype=torch.float32)
    share, place_x, place_y, mirror, grey = uniform[:5]
    rotation, shift_x, shift_y, *tints = uniform[5:] * 2 - 1
    noise = torch.zeros(()).expand(count, 3, px, px)
    if changes.noise_std:
        noise = changes.noise_std * torch.randn(count, 3, px, px, generator=generator, dtype=torch.float32)

    inner = torch.arange(count) >= cut.overview
    if cut.stratified and cut.inner:
        share[cut.overview :] = (torch.arange(cut.inner) + share[cut.overview :]) / cut.inner
    shorter, (height, width) = min(size), size
    least = min(px / shorter, 1)
    window = torch.where(inner, least + (1 - least) * share**cut.cut_pow, torch.ones(()))
    # A crop lies anywhere. An overview's place matters in an oblong picture only, where it is drawn a little beyond the
    # ends and stopped there, so that these are seen often enough.
    spread = torch.where(inner, torch.ones(()), torch.full((), 1.25))
    place_x, place_y = (((2 * place - 1) * spread).clamp(-1, 1) for place in (place_x, place_y))
    share_x, share_y = window * shorter / width, window * shorter / height
    saturation, contrast, brightness = (1 + changes.tint * tint for tint in tints)
    is_grey = grey < torch.where(
        inner, torch.full((), max(changes.grey, cut.inner_grey)), torch.full((), changes.grey)
    )
    return Views(
        size=window,
        x=(1 - share_x) * place_x + 2 * share_x * changes.shift * shift_x,
        y=(1 - share_y) * place_y + 2 * share_y * changes.shift * shift_y,
        rotation=math.radians(changes.rotation_deg) * rotation,
        mirror=torch.where(mirror < changes.mirrored, -torch.ones(()), torch.ones(())),
        saturation=torch.where(is_grey, torch.zeros(()), saturation),
        contrast=contrast,
        brightness=brightness,
        noise=noise,
    )


def make_views(pictures: Tensor, views: Views) -> Tensor:
    """Look at a picture in N ways, or at N pictures in one way each.

    Args:
        pictures: [1, 3, H, W] or [N, 3, H, W], nominally in [0, 1]; not clamped, since that would cut the gradient.
        views: N views.

    Returns:
        [N, 3, px, px].
    """
    moved = _move(pictures, views)
    resized = F.interpolate(moved, (views.px, views.px), mode="bilinear", antialias=True, align_corners=False)
    return _tint(resized, views) + views.noise


def _move(pictures: Tensor, views: Views) -> Tensor:
    """A picture's turned window for each view: [N, 3, S, S] with S the shorter side, so that no window loses pixels."""
    height, width = pictures.shape[-2:]
    shorter = min(height, width)
    share_x, share_y = views.size * shorter / width, views.size * shorter / height
    cos, sin = torch.cos(views.rotation), torch.sin(views.rotation)
    theta = torch.stack(
        [
            torch.stack([share_x * cos * views.mirror, -share_x * sin, views.x], dim=-1),
            torch.stack([share_y * sin * views.mirror, share_y * cos, views.y], dim=-1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [len(views), 3, shorter, shorter], align_corners=False)
    return F.grid_sample(
        pictures.expand(len(views), -1, -1, -1), grid, padding_mode="reflection", align_corners=False
    )


def _tint(pictures: Tensor, views: Views) -> Tensor:
    saturation, contrast, brightness = (
        factor.view(-1, 1, 1, 1) for factor in (views.saturation, views.contrast, views.brightness)
    )
    grey = pictures.mean(dim=1, keepdim=True)
    pictures = grey + saturation * (pictures - grey)
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + contrast * (pictures - mean)) * brightness
