"""The drawings that the style adapters learn from: two more emoji sets, and one that pocket knows in other colours.

``python -m training.adapters.styles`` downloads their npm packages and writes the drawings of the vocabulary's names to
``styles.npy`` and ``styles.json`` in the work folder, in the form of ``training.glyphs``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from training import glyphs
from training.captions import COLOURS
from training.glyphs import Glyph
from training.settings import work_folder

STEM = "styles"
HELD_OUT_SHARE = 0.1
LUMA = np.array([0.299, 0.587, 0.114])  # of ITU-R BT.601
COBALT, GLAZE = np.array([6.0, 24.0, 118.0]), np.array([228.0, 240.0, 255.0])
DARK = 64  # mean of a background's channels under which black ink cannot be seen

Drawing = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Style:
    """What an adapter learns.

    Attributes:
        name: of the adapter.
        trigger: the style of pocket's own that its captions say: the nearest, so that little is left to learn. A word
            that pocket had never read spoilt what it knows of names.
        package: the npm package of its drawings.
        title: for people.
        licence: of the drawings, as an SPDX id.
        credit: who made them.
        is_ink: whether it draws in one colour: black, and white on dark backgrounds.
        rule: makes its drawings [64, 64, 4] of the package's; None if they are these.
    """

    name: str
    trigger: str
    package: str
    title: str
    licence: str
    credit: str
    is_ink: bool = False
    rule: Callable[[Drawing], Drawing] | None = None


def glazed(rgba: Drawing) -> Drawing:
    """A drawing in the blue and white of Delftware: shades become tones between the two, and shapes stay.

    Args:
        rgba: [H, W, 4] with straight alpha.
    """
    shades = (rgba[..., :3] @ LUMA / 255).clip(0, 1)[..., None]
    painted = rgba.copy()
    painted[..., :3] = (shades * GLAZE + (1 - shades) * COBALT).round().astype(np.uint8)
    return painted


STYLES = {
    style.name: style
    for style in (
        Style("blob", "noto", "@iconify-json/noto-v1", "Blob drawings", "Apache-2.0", "Google"),
        Style(
            "ink",
            "flat",
            "@iconify-json/fluent-emoji-high-contrast",
            "Ink drawings",
            "MIT",
            "Microsoft",
            True,
        ),
        Style("delft", "noto", "@iconify-json/noto", "Delftware", "Apache-2.0", "Google", rule=glazed),
    )
}


def is_held_out(name: str) -> bool:
    """Whether no style adapter learns from drawings of a name: a fixed 10 % by hash."""
    return int(sha256(f"style {name}".encode()).hexdigest()[:8], 16) / 2**32 < HELD_OUT_SHARE


def inked(rgba: Drawing, colour: str) -> Drawing:
    """A drawing of one colour [H, W, 4], white if the background is dark."""
    if sum(COLOURS[colour]) >= 3 * DARK:
        return rgba
    white = rgba.copy()
    white[..., :3] = 255
    return white


def drawings(style: str) -> dict[str, Drawing]:
    """The drawings of a style [64, 64, 4], by the names that pocket's denoiser has learned."""
    pictures, rows = glyphs.load(work_folder(), STEM)
    learned = set(glyphs.learned())
    return {
        row.name: picture
        for picture, row in zip(pictures, rows, strict=True)
        if row.style == style and row.name in learned
    }


def main() -> None:
    """Download, render and store."""
    pictures, rows = [], []
    for style in STYLES.values():
        icon_set = glyphs.download(style.package)
        for name in glyphs.vocabulary():
            icon = icon_set["icons"].get(name.replace(" ", "-"))
            if icon is not None:
                drawn = glyphs.render(icon, icon_set)
                pictures.append(style.rule(drawn) if style.rule else drawn)
                rows.append(Glyph(name, style.name))
    glyphs.save(work_folder(), pictures, rows, STEM)


if __name__ == "__main__":
    main()
