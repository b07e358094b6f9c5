"""The edges of a picture (Canny 1986), with the thresholds and the discrete steps of OpenCV's ``Canny``.

ControlNets of edges were trained on maps that it made: 3 x 3 Sobel gradients, the sum of their two absolute values, and
the channel of each pixel that has the largest.
"""

import numpy as np
from numpy.typing import NDArray

_TAN_22_5 = np.tan(np.pi / 8)
_TAN_67_5 = np.tan(3 * np.pi / 8)

Levels = NDArray[np.uint8]  # [H, W, C]
Plane = NDArray[np.int16]  # [H, W]; a gradient is at most 2040


def canny(levels: Levels, low: float, high: float) -> NDArray[np.bool_]:
    """Where the edges of a picture are, [H, W].

    Args:
        levels: of the picture, [H, W, C].
        low: an edge goes on while the gradient is above this; a step from black to white has 1020.
        high: an edge begins where it is above this.
    """
    across, down = _gradients(levels)
    size = np.abs(across) + np.abs(down)
    thin = _is_largest_across(size, across, down)
    return _grown(thin & (size > high), thin & (size > low))


def _gradients(levels: Levels) -> tuple[Plane, Plane]:
    """The gradients to the right and down, of the channel with the larger one."""
    padded = np.pad(levels.astype(np.int16), ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = levels.shape[:2]

    def at(row: int, column: int) -> Plane:
        return padded[row : row + height, column : column + width]

    across = at(0, 2) + 2 * at(1, 2) + at(2, 2) - at(0, 0) - 2 * at(1, 0) - at(2, 0)
    down = at(2, 0) + 2 * at(2, 1) + at(2, 2) - at(0, 0) - 2 * at(0, 1) - at(0, 2)
    chosen = (np.abs(across) + np.abs(down)).argmax(axis=2)[..., None]
    return np.take_along_axis(across, chosen, 2)[..., 0], np.take_along_axis(down, chosen, 2)[..., 0]


def _is_largest_across(size: Plane, across: Plane, down: Plane) -> NDArray[np.bool_]:
    """Whether a gradient is larger than its two neighbours in its own direction, of the nearest four."""
    padded = np.pad(size, 1)
    height, width = size.shape

    def beside(rows: int, columns: int) -> Plane:
        return padded[1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]

    x, y = np.abs(across), np.abs(down)
    is_flat, is_steep = y < _TAN_22_5 * x, y > _TAN_67_5 * x
    flat = (size > beside(0, -1)) & (size >= beside(0, 1))
    steep = (size > beside(-1, 0)) & (size >= beside(1, 0))
    falling = (size > beside(-1, -1)) & (size > beside(1, 1))
    rising = (size > beside(-1, 1)) & (size > beside(1, -1))
    slanted = np.where((across < 0) == (down < 0), falling, rising)
    return np.where(is_flat, flat, np.where(is_steep, steep, slanted))


def _grown(seeds: NDArray[np.bool_], allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The seeds, and all of ``allowed`` that touches them, sides and corners counted, in any number of steps."""
    grown = np.pad(seeds, 1)
    inside = np.pad(allowed, 1)
    front = np.argwhere(grown)
    while len(front):
        around = (front[:, None] + _AROUND[None]).reshape(-1, 2)
        rows, columns = around.T
        new = around[inside[rows, columns] & ~grown[rows, columns]]
        grown[new[:, 0], new[:, 1]] = True
        front = np.unique(new, axis=0)
    return grown[1:-1, 1:-1]


_AROUND = np.array([(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)])
