"""Masks: the part of a picture that is painted anew, what fills it at first, and what the result is pasted into."""

from collections.abc import Mapping
from math import ceil

import numpy as np
import torch
from PIL import Image
from PIL.Image import Resampling
from PIL.ImageFilter import GaussianBlur
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import JobFailedError
from jobs.pictures.fitting import extended, fitted
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.init import Fit
from jobs.requests.start.mask import REPAINTED, Area, Fill, ResolvedMask
from worker.canvas import Canvas, Paste, canvas_of
from worker.pictures.levels import levels

Box = tuple[int, int, int, int]

REACH = 2.5  # of a blur, in standard deviations
# Radii of blurs that are laid over each other to fill a hole, each with its number of layers: from afar to its edge.
_FILLING = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))


def canvas_for(request: ResolvedRequest, pictures: Mapping[str, Tensor]) -> Canvas | None:
    """The picture that a request starts from; None for pure noise.

    Args:
        request: of the job.
        pictures: that it names, uint8 [C, H, W], by these names.

    Raises:
        JobFailedError: its mask is empty.
    """
    init = request.init
    if init is not None and request.mask is not None:
        return masked_canvas(request, request.mask, pictures)
    if init is None or init.starts_from_noise:
        return None
    return canvas_of(levels(fitted(_image(pictures[init.image]), request.width, request.height, init.fit)))


def masked_canvas(request: ResolvedRequest, mask: ResolvedMask, pictures: Mapping[str, Tensor]) -> Canvas:
    """The picture that a request paints a part of.

    Args:
        request: of the job.
        mask: of the request.
        pictures: that it names, uint8 [C, H, W], by these names.

    Raises:
        JobFailedError: the mask is empty.
    """
    assert request.init is not None
    whole, painted = _outpainted(request, mask, pictures)
    size = request.width, request.height
    if mask.area is Area.WHOLE:
        whole, painted = (fitted(each, *size, request.init.fit) for each in (whole, painted))
    grown = _grown(_grey(painted), mask.grow)
    if not grown.any():
        raise JobFailedError("the mask is empty: nothing would be painted anew")
    box: Box = (0, 0, *whole.size)
    if mask.area is Area.MASKED:
        # What is added has the scale of the picture, not a finer one.
        least = size if request.outpaint else (0, 0)
        box = _box(grown, max(mask.padding, ceil(REACH * mask.blur)), request.width / request.height, least)
    crop = fitted(whole.crop(box), *size, Fit.STRETCH)
    inner = fitted(_image(grown).crop(box), *size, Fit.STRETCH, resample=Resampling.BILINEAR)
    start = crop if mask.fill is Fill.ORIGINAL else _filled(crop, inner)
    paste = Paste(levels(whole), box, _opacity(grown, mask.blur, box)) if mask.paste else None
    return canvas_of(levels(start), _grey(inner), paste)


def _outpainted(
    request: ResolvedRequest, mask: ResolvedMask, pictures: Mapping[str, Tensor]
) -> tuple[Image.Image, Image.Image]:
    """The picture and the levels of its mask, with the pixels that are added."""
    assert request.init is not None
    whole = _image(pictures[request.init.image])
    painted = Image.new("L", whole.size)
    if mask.image is not None:
        painted = _levels_of(pictures[mask.image], whole.size, mask)
    if request.outpaint is None:
        return whole, painted
    sides = request.outpaint.sides
    return extended(whole, **sides), extended(painted, **sides, level=255)


def _image(pixels: Tensor) -> Image.Image:
    """Pixels [C, H, W] as a picture; one channel alone is grey."""
    array = pixels.permute(1, 2, 0).numpy()
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def _grey(picture: Image.Image) -> Tensor:
    """A grey picture's levels, uint8 [1, H, W]."""
    return torch.from_numpy(np.array(picture))[None]


def _levels_of(pixels: Tensor, size: tuple[int, int], mask: ResolvedMask) -> Image.Image:
    """A mask's picture as levels, 255 where all is painted anew."""
    picture = _image(pixels)
    grey = picture.getchannel("A") if picture.mode == "RGBA" else picture.convert("L")
    if mask.invert:
        grey = grey.point([255 - level for level in range(256)])
    if not mask.soft:
        grey = grey.point([255 * (level >= REPAINTED) for level in range(256)])
    return grey if grey.size == size else grey.resize(size, Resampling.BILINEAR)


def _grown(mask: Tensor, by: int) -> Tensor:
    """A mask, uint8 [1, H, W], that reaches further by some pixels on all sides."""
    if not by:
        return mask
    across = F.max_pool2d(mask.float(), (1, 2 * by + 1), 1, (0, by))
    return F.max_pool2d(across, (2 * by + 1, 1), 1, (by, 0)).to(torch.uint8)


def _box(mask: Tensor, padding: int, aspect: float, least: tuple[int, int]) -> Box:
    """The surroundings of a mask, uint8 [1, H, W], in the shape of what is drawn as far as the picture allows."""
    height, width = mask.shape[1:]
    columns, rows = mask[0].any(dim=0).nonzero(), mask[0].any(dim=1).nonzero()
    left, right = max(int(columns[0]) - padding, 0), min(int(columns[-1]) + 1 + padding, width)
    top, bottom = max(int(rows[0]) - padding, 0), min(int(rows[-1]) + 1 + padding, height)
    left, right = _widened(left, right, max(least[0], round((bottom - top) * aspect)), width)
    top, bottom = _widened(top, bottom, max(least[1], round((right - left) / aspect)), height)
    return left, top, right, bottom


def _widened(start: int, end: int, length: int, most: int) -> tuple[int, int]:
    """A range of at least some length, if there is room, around the same middle as far as possible."""
    length = min(max(length, end - start), most)
    start = min(max(0, start - (length - (end - start)) // 2), most - length)
    return start, start + length


def _opacity(mask: Tensor, blur: float, box: Box) -> Tensor:
    """The opacity of the result, float32 [1, h, w]: 1 on the mask, falling outside it as far as the blur reaches."""
    opacity = (mask > 0).float()
    radius = int(REACH * blur + 0.5)
    if radius:
        x = torch.arange(-radius, radius + 1)
        kernel = torch.exp(-(x**2) / (2 * blur**2))
        kernel = kernel / kernel.sum()
        across = F.conv2d(opacity[None], kernel.view(1, 1, 1, -1), padding=(0, radius))
        blurred = F.conv2d(across, kernel.view(1, 1, -1, 1), padding=(radius, 0))[0]
        opacity = torch.maximum(opacity, (2 * blurred).clamp(max=1))
    left, top, right, bottom = box
    return opacity[:, top:bottom, left:right].clone()


def _filled(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """The picture with its hole filled by the colours around it, blurred more the further from its edge."""
    around = picture.convert("RGBA")
    around.putalpha(mask.point([255 * (level == 0) for level in range(256)]))
    around = around.convert("RGBa")  # premultiplied, so that the hole's own colours count for nothing
    filled = Image.new("RGBA", picture.size)
    for radius, times in _FILLING:
        layer = around.filter(GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            filled.alpha_composite(layer)
    return filled.convert("RGB")
