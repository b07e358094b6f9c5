"""Lines in drawings and photographs: by darkness, and by differences of Gaussians.

The methods and their numbers are those of the web UI's extension, on whose maps ControlNets of lines and scribbles were
trained. Blurs are OpenCV's for floats: kernels of four standard deviations to each side, borders mirrored.
"""

from collections.abc import Callable
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.uint8]  # [H, W, C]
Plane = NDArray[np.float32]  # [H, W]

_AROUND = 6.0  # standard deviation of a blur in pixels: what surrounds a line
_NARROW, _WIDE = 0.5, 5.0
_SEEN = 8  # levels: less is taken for paper
_LEAST_TYPICAL = 16  # levels of a typical line: a faint drawing is not made stronger than from this


def lineart(levels: Levels) -> NDArray[np.uint8]:
    """How much darker the pixels are than what surrounds them, [H, W]; a typical line is mid-grey.

    Args:
        levels: of the picture, [H, W, C]. The channel with the least difference counts.
    """
    darker = _least(levels, lambda plane: blurred(plane, _AROUND) - plane).clip(0, 255)
    seen = darker[darker > _SEEN]
    typical = max(_LEAST_TYPICAL, float(np.median(seen)) if seen.size else 0.0)
    lines: NDArray[np.uint8] = (127 * darker / typical).clip(0, 255).astype(np.uint8)
    return lines


def scribble(levels: Levels, threshold: float) -> NDArray[np.bool_]:
    """Where all channels are dark, [H, W].

    Args:
        levels: of the picture, [H, W, C].
        threshold: what is below is dark.
    """
    dark: NDArray[np.bool_] = levels.min(axis=2) < threshold
    return dark


def xdog(levels: Levels, threshold: float) -> NDArray[np.bool_]:
    """Where a narrow blur is darker than a wide one, [H, W] (Winnemoeller, Kyprianidis & Olsen 2012).

    Args:
        levels: of the picture, [H, W, C].
        threshold: twice the least difference.
    """
    darker = _least(levels, lambda plane: blurred(plane, _WIDE) - blurred(plane, _NARROW))
    found: NDArray[np.bool_] = darker > threshold / 2
    return found


def _least(levels: Levels, of: Callable[[Plane], Plane]) -> Plane:
    """The least value over the channels, [H, W]; one channel at a time, as all together take much memory."""
    planes = (levels[..., channel].astype(np.float32) for channel in range(levels.shape[2]))
    return reduce(np.minimum, (of(plane) for plane in planes))


def blurred(plane: Plane, sigma: float) -> Plane:
    """A Gaussian blur of [H, W], of a standard deviation in pixels."""
    radius = (round(8 * sigma + 1) | 1) // 2
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    weights = (weights / weights.sum()).astype(np.float32)
    return _along(_along(plane, weights, 0), weights, 1)


def _along(plane: Plane, weights: Plane, axis: int) -> Plane:
    """The weighted sums of neighbours along an axis."""
    radius, length = len(weights) // 2, plane.shape[axis]
    beside = [(radius, radius) if each == axis else (0, 0) for each in range(2)]
    padded = np.moveaxis(np.pad(plane, beside, mode="reflect"), axis, 0)
    total = np.zeros_like(padded[:length])
    for start, weight in enumerate(weights):
        total += weight * padded[start : start + length]
    return np.moveaxis(total, 0, axis)
