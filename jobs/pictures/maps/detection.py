"""Makes the maps that ControlNets read, of pictures. It needs no weights, so the API makes the same ones as workers."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.Image import Resampling

from jobs.pictures.fitting import fitted
from jobs.pictures.maps.edges import canny
from jobs.pictures.maps.lines import lineart, scribble, xdog
from jobs.pictures.maps.shuffling import shuffled
from jobs.requests.conditions.maps import MAX_MAP_PX, Preprocessor, ResolvedMap

Size = tuple[int, int]  # width and height in pixels

_SIZELESS = {Preprocessor.NONE, Preprocessor.INVERT, Preprocessor.TILE}  # they look at no neighbourhood


def map_of(picture: Image.Image, how: ResolvedMap, size: Size, seed: int) -> Image.Image:
    """The map of a picture, in RGB.

    Args:
        picture: in RGB, of any size.
        how: of the request.
        size: of the map.
        seed: of the job.
    """
    return detected(fitted(picture, *working_size(how, size), how.fit), how, size, seed)


def working_size(how: ResolvedMap, size: Size) -> Size:
    """The size that a picture has to have to be looked at, for a map of a size."""
    if how.resolution is None or how.preprocess in _SIZELESS:
        return size
    # By the area: a narrow map would be looked at with any number of pixels.
    most = MAX_MAP_PX / math.sqrt(math.prod(size))
    scale = min(how.resolution / min(size), most)
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height


def detected(picture: Image.Image, how: ResolvedMap, size: Size, seed: int) -> Image.Image:
    """The same of a picture that has its working size."""
    levels = np.asarray(picture)
    match how.preprocess:
        case Preprocessor.NONE:
            return picture
        case Preprocessor.INVERT:
            return ImageOps.invert(picture)
        case Preprocessor.TILE:
            width, height = (max(1, round(side / how.downsample)) for side in size)
            return picture.resize((width, height), Resampling.BOX).resize(size, Resampling.BICUBIC)
        case Preprocessor.SHUFFLE:
            return _resized(Image.fromarray(shuffled(levels, seed)), size)
        case Preprocessor.LINEART:
            return _resized(Image.fromarray(lineart(levels)), size).convert("RGB")
        case Preprocessor.CANNY:
            return _drawn(canny(levels, how.low, how.high), size)
        case Preprocessor.SCRIBBLE:
            return _drawn(scribble(levels, how.level), size)
        case Preprocessor.XDOG:
            return _drawn(xdog(levels, how.level), size)


def _resized(picture: Image.Image, size: Size) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, Resampling.LANCZOS)


def _drawn(lines: NDArray[np.bool_], size: Size) -> Image.Image:
    """Lines as white on black, and as nothing between: a line of one pixel stays one in a smaller map."""
    picture = Image.fromarray(np.where(lines, np.uint8(255), np.uint8(0)))
    if picture.size != size:
        shrink = max(1.0, picture.width / size[0])
        smooth = picture.resize(size, Resampling.BOX if shrink > 1 else Resampling.BICUBIC)
        picture = smooth.point([255 * (level >= 128 / shrink) for level in range(256)])
    return picture.convert("RGB")
