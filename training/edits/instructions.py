"""What people ask an editing model to do to a picture, in words that pocket has read.

A word that pocket never read spoils the shapes that it draws, so most instructions are worded as its captions are.
"""

import numpy as np

BACKGROUND = ("on a {colour} background", "a {colour} background", "make the background {colour}")
STYLE = ("{style} style", "in {style} style", "make it {style}")
BOTH = ("{style} style on a {colour} background", "make it {style} on a {colour} background")
# Of instructions that also say what the picture shows, as a caption of the wanted picture does.
NAMED_SHARE = 0.25


def instruction(
    rng: np.random.Generator, *, name: str, colour: str | None = None, style: str | None = None
) -> str:
    """Words for a change of the background's colour, of the style of drawing, or of both.

    Args:
        rng: chooses among the ways to say it.
        name: of what the picture shows, and goes on showing.
        colour: wanted, a key of ``training.captions.COLOURS``.
        style: wanted, one of ``training.glyphs.STYLES``.

    Raises:
        ValueError: nothing is wanted.
    """
    if colour is None and style is None:
        raise ValueError("an instruction wants a colour, a style or both")
    if rng.random() < NAMED_SHARE:
        drawn = f"{style} {name}" if style else name
        return f"{drawn} on a {colour} background" if colour else drawn
    ways = BOTH if colour and style else BACKGROUND if colour else STYLE
    return ways[int(rng.integers(len(ways)))].format(colour=colour, style=style)
