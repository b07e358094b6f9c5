"""Training pictures and their captions: colours, words, composition on a background."""

import numpy as np
import numpy.typing as npt

from training.glyphs import Glyph

MAX_SHIFT_PX = 3

COLOURS = {
    "white": (255, 255, 255),
    "light blue": (190, 220, 250),
    "blue": (70, 120, 220),
    "dark blue": (30, 40, 90),
    "light green": (195, 235, 190),
    "green": (70, 160, 80),
    "yellow": (250, 225, 110),
    "orange": (245, 165, 75),
    "red": (215, 70, 65),
    "pink": (250, 195, 215),
    "purple": (140, 90, 185),
    "grey": (175, 178, 182),
    "black": (25, 25, 28),
}


def caption(glyph: Glyph, colour: str, rng: np.random.Generator, *, drop: float = 0.3) -> str:
    """``[style] name [on a colour background]``; the style is left out with probability ``drop``.

    A white background is never named: a prompt that names none means white.
    """
    style = "" if rng.random() < drop else f"{glyph.style} "
    article = "a " if not style and rng.random() < 0.3 else ""
    background = "" if colour == "white" else f" on a {colour} background"
    return f"{article}{style}{glyph.name}{background}"


def random_colour(rng: np.random.Generator) -> str:
    """White for four pictures in ten, else one of the other colours with equal chance."""
    names = list(COLOURS)
    return "white" if rng.random() < 0.4 else names[int(rng.integers(1, len(names)))]


def compose(
    rgba: npt.NDArray[np.uint8],
    colour: str,
    rng: np.random.Generator | None = None,
    max_shift_px: int = MAX_SHIFT_PX,
) -> npt.NDArray[np.float32]:
    """Lay glyphs on a background colour.

    Args:
        rgba: [H, W, 4] with straight alpha.
        colour: a key of ``COLOURS``.
        rng: shifts the glyph when given.
        max_shift_px: by so much at most, in either direction; the glyph must have as wide a margin.

    Returns:
        [3, H, W] in [-1, 1].
    """
    if rng is not None:
        shift = rng.integers(-max_shift_px, max_shift_px + 1, size=2)
        rgba = np.roll(rgba, tuple(int(s) for s in shift), axis=(0, 1))
    alpha = rgba[..., 3:].astype(np.float32) / 255
    background = np.asarray(COLOURS[colour], dtype=np.float32)
    picture = rgba[..., :3] * alpha + background * (1 - alpha)
    return np.ascontiguousarray(picture.transpose(2, 0, 1) / 127.5 - 1)
