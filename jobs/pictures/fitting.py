"""Brings a picture to the size of the one to be made."""

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Resampling

from jobs.requests.start.init import Fit

FINE = Resampling.LANCZOS


def fitted(
    picture: Image.Image, width: int, height: int, fit: Fit, *, resample: Resampling = FINE
) -> Image.Image:
    """A picture at another size.

    Args:
        picture: in any mode that Pillow resizes.
        width: of the result in pixels.
        height: likewise.
        fit: ``crop`` cuts off what is too wide or too high, equally on both sides; ``pad`` fits it in whole, and
            repeats its outermost pixels beside it; ``stretch`` changes its proportions.
        resample: how pixels are weighed.
    """
    if picture.size == (width, height):
        return picture
    match fit:
        case Fit.STRETCH:
            return picture.resize((width, height), resample)
        case Fit.CROP:
            return ImageOps.fit(picture, (width, height), resample)
        case Fit.PAD:
            return _padded(ImageOps.contain(picture, (width, height), resample), width, height)


def _padded(picture: Image.Image, width: int, height: int) -> Image.Image:
    left, top = (width - picture.width) // 2, (height - picture.height) // 2
    return extended(picture, left, width - picture.width - left, top, height - picture.height - top)


def extended(
    picture: Image.Image, left: int, right: int, up: int, down: int, *, level: int | None = None
) -> Image.Image:
    """A picture with pixels added on its sides.

    Args:
        picture: grey or in colour.
        left: pixels to add there.
        right: likewise.
        up: likewise.
        down: likewise.
        level: of the new pixels; None repeats the outermost ones.
    """
    levels = np.asarray(picture)
    beside = [(up, down), (left, right)] + [(0, 0)] * (levels.ndim - 2)
    if level is None:
        return Image.fromarray(np.pad(levels, beside, mode="edge"))
    return Image.fromarray(np.pad(levels, beside, constant_values=level))
