"""Random masks of the kinds that people draw: rectangles, strokes, what a glyph covers or what it leaves."""

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor
from torch.nn import functional as F

from training.glyphs import PICTURE_PX

LATENT_PX = 4  # of a picture's pixels, for each latent cell
KINDS = ("rectangle", "strokes", "glyph")

Mask = npt.NDArray[np.bool_]


def random_mask(kind: str, alpha: npt.NDArray[np.uint8], rng: np.random.Generator) -> Mask:
    """A mask [64, 64], true where to paint anew, never empty.

    Args:
        kind: one of ``KINDS``.
        alpha: of the glyph where it lies [64, 64].
        rng: the source of all randomness.
    """
    if kind == "rectangle":
        return _rectangle(rng)
    if kind == "strokes":
        return _strokes(rng)
    return _around_glyph(alpha, rng)


def _rectangle(rng: np.random.Generator) -> Mask:
    """From a fifth of the side to the whole, of any proportion, somewhere inside the picture."""
    height, width = (int(px) for px in rng.integers(PICTURE_PX // 5, PICTURE_PX + 1, size=2))
    top, left = (int(rng.integers(0, PICTURE_PX - size + 1)) for size in (height, width))
    mask = np.zeros((PICTURE_PX, PICTURE_PX), dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def _strokes(rng: np.random.Generator) -> Mask:
    """One to three polylines of two to four points with round ends, 2 to 6 latent cells wide."""
    picture = Image.new("1", (PICTURE_PX, PICTURE_PX))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 4))):
        width = int(rng.integers(2 * LATENT_PX, 6 * LATENT_PX + 1))
        points = [
            (float(x), float(y)) for x, y in rng.uniform(0, PICTURE_PX, size=(int(rng.integers(2, 5)), 2))
        ]
        draw.line(points, fill=1, width=width)
        for x, y in points:
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=1)
    return np.asarray(picture, dtype=bool)


def _around_glyph(alpha: npt.NDArray[np.uint8], rng: np.random.Generator) -> Mask:
    """What a glyph covers, grown by 1 to 6 px, or all that this leaves."""
    size = 2 * int(rng.integers(1, 7)) + 1
    covered = np.asarray(Image.fromarray(alpha).filter(ImageFilter.MaxFilter(size))) > 0
    rest = ~covered
    return rest if rest.any() and rng.random() < 0.5 else covered


def hide(pictures: Tensor, masks: Tensor) -> Tensor:
    """Pictures [N, 3, H, W] in [-1, 1] with mid-grey where masks [N, 1, H, W] are true."""
    return pictures * ~masks


def to_latents(masks: Tensor) -> Tensor:
    """Masks of pixels [N, 1, H, W] as masks of latents [N, 1, H/4, W/4], 1.0 for a cell with any pixel to paint.

    The nearest pixel alone would lose thin strokes.
    """
    return F.max_pool2d(masks.float(), LATENT_PX)


def middle() -> Tensor:
    """The middle half of either side [1, 64, 64]."""
    mask = torch.zeros(1, PICTURE_PX, PICTURE_PX, dtype=torch.bool)
    quarter = PICTURE_PX // 4
    mask[:, quarter:-quarter, quarter:-quarter] = True
    return mask
