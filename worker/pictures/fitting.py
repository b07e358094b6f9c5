"""Brings a picture to the size of the one to be made."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Resampling
from torch import Tensor

from jobs.requests.init import Fit
from jobs.requests.request import ResolvedRequest
from worker.canvas import Canvas, canvas_of
from worker.pictures.read import levels

FINE = Resampling.LANCZOS


def canvas_for(request: ResolvedRequest, pictures: Mapping[str, Tensor]) -> Canvas | None:
    """The picture that a request starts from; None for pure noise.

    Args:
        request: of the job.
        pictures: that it names, uint8 [C, H, W], by these names.
    """
    init = request.init
    if init is None or init.starts_from_noise:
        return None
    whole = Image.fromarray(pictures[init.image].permute(1, 2, 0).numpy())
    return canvas_of(levels(fitted(whole, request.width, request.height, init.fit)))


def fitted(picture: Image.Image, width: int, height: int, fit: Fit) -> Image.Image:
    """A picture at another size.

    Args:
        picture: in any mode that Pillow resizes.
        width: of the result in pixels.
        height: likewise.
        fit: ``crop`` cuts off what is too wide or too high, equally on both sides; ``pad`` fits it in whole, and
            repeats its outermost pixels beside it; ``stretch`` changes its proportions.
    """
    if picture.size == (width, height):
        return picture
    match fit:
        case Fit.STRETCH:
            return picture.resize((width, height), FINE)
        case Fit.CROP:
            return ImageOps.fit(picture, (width, height), FINE)
        case Fit.PAD:
            return _padded(ImageOps.contain(picture, (width, height), FINE), width, height)


def _padded(picture: Image.Image, width: int, height: int) -> Image.Image:
    levels = np.asarray(picture)
    left, top = (width - picture.width) // 2, (height - picture.height) // 2
    beside = [(top, height - picture.height - top), (left, width - picture.width - left)]
    beside += [(0, 0)] * (levels.ndim - 2)
    return Image.fromarray(np.pad(levels, beside, mode="edge"))
