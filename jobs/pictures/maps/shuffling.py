"""Pictures whose shapes are gone and whose colours are left: each pixel shows another place, by a smooth random field.

The field is that of the ControlNet for shuffled pictures (Zhang 2023, ControlNet 1.1): numbers on a coarse grid,
smoothed, and spread over the whole picture.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

Levels = NDArray[np.uint8]  # [H, W, C]
Plane = NDArray[np.float32]  # [H, W]

ROWS_AT_ONCE = 128
CELLS = 2  # of the grid, on the shorter side: 256 pixels each at 512


def shuffled(levels: Levels, seed: int) -> Levels:
    """The picture [H, W, C] with its content moved; the same seed moves it alike at every size."""
    rng = np.random.default_rng(seed)
    height, width = levels.shape[:2]
    x = _field(rng, width, height) * (width - 1)
    y = _field(rng, width, height) * (height - 1)
    # A few rows at a time: each of them reads from everywhere.
    strips = (slice(start, start + ROWS_AT_ONCE) for start in range(0, height, ROWS_AT_ONCE))
    return np.concatenate([_at(levels, x[strip], y[strip]) for strip in strips])


def _field(rng: np.random.Generator, width: int, height: int) -> Plane:
    """Smooth numbers from 0 to 1, which are both among them, [H, W]."""
    cell = max(1, min(width, height) // CELLS)
    noise = rng.random((height // cell + 2, width // cell + 2), dtype=np.float32)
    wide = Image.fromarray(noise).resize((width + 2 * cell, height + 2 * cell), Resampling.BICUBIC)
    field = np.asarray(wide)[cell : cell + height, cell : cell + width]
    spread: Plane = (field - field.min()) / max(float(np.ptp(field)), 1e-6)
    return spread


def _at(levels: Levels, x: Plane, y: Plane) -> Levels:
    """The levels at places between the pixels, weighed linearly."""
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, bottom = (
        np.minimum(left + 1, levels.shape[1] - 1),
        np.minimum(top + 1, levels.shape[0] - 1),
    )
    across, down = (x - left)[..., None], (y - top)[..., None]
    above = levels[top, left] * (1 - across) + levels[top, right] * across
    below = levels[bottom, left] * (1 - across) + levels[bottom, right] * across
    between: Levels = (above * (1 - down) + below * down).round().astype(np.uint8)
    return between
