"""Cutouts: random square crops of a picture with random augmentations, so that CLIP's gradient fits no single crop.

Every published method draws the same numbers in its own way: a window for each cutout, its rotation and its tint. All
are drawn at once from the picture's own generator, so neither the chunk size nor other jobs in the batch change the
result.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from worker.random_numbers import CPU, normal


@dataclass(frozen=True)
class Augmentation:
    """Random changes of the cutouts: the largest of each kind, the noise, and the shares mirrored and grey."""

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
class CutoutSpec:
    """The distribution of the cutouts of one step.

    Attributes:
        overview: number of cutouts as wide as the picture's shorter side.
        inner: number of smaller crops.
        cut_pow: exponent of the crop-size distribution: size = px + u ** cut_pow (shorter side - px), with CLIP's
            input width px and u uniform in [0, 1] (Crowson 2021).
        stratified: draw one u from each of equal parts of [0, 1].
        inner_grey: share of grey crops.
        augmentation: of all cutouts.
    """

    overview: int
    inner: int = 0
    cut_pow: float = 1.0
    stratified: bool = False
    inner_grey: float = 0.0
    augmentation: Augmentation = AUGMENTATIONS["none"]

    def __len__(self) -> int:
        return self.overview + self.inner


@dataclass(frozen=True, eq=False)
class Cutouts:
    """N square cutouts.

    Attributes:
        px: width and height in pixels.
        numbers: the eight properties below of each, [8, N].
        noise: to add, [N, 3, px, px] on the CPU; None without any.
    """

    px: int
    numbers: Tensor
    noise: Tensor | None = None

    def __len__(self) -> int:
        return self.numbers.shape[1]

    @property
    def size(self) -> Tensor:
        """Sides of the windows, as shares of the picture's shorter side, [N]."""
        return self.numbers[0]

    @property
    def x(self) -> Tensor:
        """Their centres, in [-1, 1] as for ``grid_sample``, [N]."""
        return self.numbers[1]

    @property
    def y(self) -> Tensor:
        """Likewise."""
        return self.numbers[2]

    @property
    def rotation(self) -> Tensor:
        """In radians, [N]."""
        return self.numbers[3]

    @property
    def mirror(self) -> Tensor:
        """1, or -1 for a mirrored cutout, [N]."""
        return self.numbers[4]

    @property
    def tints(self) -> Tensor:
        """Factors of saturation, contrast and brightness, [3, N]; a saturation of 0 is grey."""
        return self.numbers[5:]

    def part(self, start: int, stop: int) -> "Cutouts":
        """Cutouts ``start`` to ``stop``."""
        noise = None if self.noise is None else self.noise[start:stop]
        return replace(self, numbers=self.numbers[:, start:stop], noise=noise)


def draw_cutouts(
    spec: CutoutSpec,
    size: tuple[int, int],
    px: int,
    generator: torch.Generator,
    device: torch.device = CPU,
) -> Cutouts:
    """Draw the cutouts of one step.

    Args:
        spec: their distribution.
        size: height and width of the picture in pixels.
        px: width of the CLIP's input.
        generator: the picture's own.
        device: that needs them.
    """
    count, changes = len(spec), spec.augmentation
    uniform = torch.rand(11, count, generator=generator, dtype=torch.float32)
    u, place_x, place_y, mirror, grey = uniform[:5]
    rotation, shift_x, shift_y, *tints = uniform[5:] * 2 - 1
    noise = None
    if changes.noise_std:
        noise = normal((count, 3, px, px), generator, device, std=changes.noise_std)

    inner, shorter, (height, width) = torch.arange(count) >= spec.overview, min(size), size
    window = _window_sizes(spec, inner, u, min(px / shorter, 1))
    # Crops lie anywhere. The place of an overview matters only in an oblong picture: it is drawn beyond the ends and
    # clamped there, so that overviews cover the ends often enough.
    spread = torch.where(inner, torch.ones(()), torch.full((), 1.25))
    place_x, place_y = (((2 * place - 1) * spread).clamp(-1, 1) for place in (place_x, place_y))
    share_x, share_y = window * shorter / width, window * shorter / height
    saturation, contrast, brightness = (1 + changes.tint * tint for tint in tints)
    is_grey = grey < torch.where(
        inner, torch.full((), max(changes.grey, spec.inner_grey)), torch.full((), changes.grey)
    )
    numbers = (
        window,
        (1 - share_x) * place_x + 2 * share_x * changes.shift * shift_x,
        (1 - share_y) * place_y + 2 * share_y * changes.shift * shift_y,
        math.radians(changes.rotation_deg) * rotation,
        torch.where(mirror < changes.mirrored, -torch.ones(()), torch.ones(())),
        torch.where(is_grey, torch.zeros(()), saturation),
        contrast,
        brightness,
    )
    return Cutouts(px, torch.stack(numbers), noise)


def _window_sizes(spec: CutoutSpec, inner: Tensor, u: Tensor, least: float) -> Tensor:
    """Window sizes [N] from ``least`` to 1, as shares of the picture's shorter side; 1 for overviews.

    Args:
        spec: the distribution.
        inner: which cutouts are crops, [N].
        u: uniform in [0, 1], [N].
        least: smallest size.
    """
    if spec.stratified and spec.inner:
        u = torch.cat([u[: spec.overview], (torch.arange(spec.inner) + u[spec.overview :]) / spec.inner])
    return torch.where(inner, least + (1 - least) * u**spec.cut_pow, torch.ones(()))


def make_cutouts(pictures: Tensor, cutouts: Cutouts) -> Tensor:
    """Crop and tint N cutouts of one picture, or one of each of N pictures; ``add_noise`` does the rest.

    Args:
        pictures: [1, 3, H, W] or [N, 3, H, W], nominally in [0, 1]; not clamped, since that would cut the gradient.
        cutouts: N of them.

    Returns:
        [N, 3, px, px].
    """
    moved = _move(pictures, cutouts)
    resized = F.interpolate(
        moved, (cutouts.px, cutouts.px), mode="bilinear", antialias=True, align_corners=False
    )
    return _tint(resized, cutouts)


def add_noise(made: Tensor, cutouts: Cutouts) -> None:
    """Add the noise of some cutouts to what ``make_cutouts`` has made of them, [N, 3, px, px].

    Their gradient passes a constant unchanged. So it is added in place, unknown to the gradient and without a copy.
    """
    if cutouts.noise is not None:
        made.detach().add_(cutouts.noise.to(made.device, made.dtype, non_blocking=True))


def _move(pictures: Tensor, cutouts: Cutouts) -> Tensor:
    """The rotated window of each cutout, [N, 3, S, S] with S the shorter side, so that no window loses pixels."""
    height, width = pictures.shape[-2:]
    shorter = min(height, width)
    share_x, share_y = cutouts.size * shorter / width, cutouts.size * shorter / height
    cos, sin = torch.cos(cutouts.rotation), torch.sin(cutouts.rotation)
    theta = torch.stack(
        [
            torch.stack([share_x * cos * cutouts.mirror, -share_x * sin, cutouts.x], dim=-1),
            torch.stack([share_y * sin * cutouts.mirror, share_y * cos, cutouts.y], dim=-1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [len(cutouts), 3, shorter, shorter], align_corners=False)
    return F.grid_sample(
        pictures.expand(len(cutouts), -1, -1, -1), grid, padding_mode="reflection", align_corners=False
    )


def _tint(pictures: Tensor, cutouts: Cutouts) -> Tensor:
    saturation, contrast, brightness = cutouts.tints[..., None, None, None].unbind()
    grey = pictures.mean(dim=1, keepdim=True)
    pictures = grey + saturation * (pictures - grey)
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + contrast * (pictures - mean)) * brightness
