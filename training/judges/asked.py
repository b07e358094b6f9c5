"""What was asked of a picture, in the words that pocket reads, and the real drawing of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training import glyphs
from training.captions import compose
from training.settings import work_folder


@dataclass(frozen=True)
class Asked:
    """One thing in one style on one background.

    Attributes:
        name: of the thing, a name of the vocabulary.
        style: one of ``glyphs.STYLES``.
        colour: of the background, a key of ``COLOURS``.
    """

    name: str
    style: str
    colour: str = "white"

    @property
    def prompt(self) -> str:
        """It in words."""
        ground = "" if self.colour == "white" else f" on a {self.colour} background"
        return f"{self.style} {self.name}{ground}"


class Drawings:
    """The real drawings of the five sets, by style and name."""

    def __init__(self) -> None:
        """Read them from the work folder (``python -m training.glyphs`` makes them).

        Raises:
            FileNotFoundError: they were not made.
        """
        self._rgba, rows = glyphs.load(work_folder())
        self._at = {(glyph.style, glyph.name): index for index, glyph in enumerate(rows)}
        wanted = set(glyphs.vocabulary())
        self.names = {
            style: [glyph.name for glyph in rows if glyph.style == style and glyph.name in wanted]
            for style in glyphs.STYLES
        }

    def has(self, asked: Asked) -> bool:
        """Whether this thing was drawn in this style."""
        return (asked.style, asked.name) in self._at

    def rgba(self, asked: Asked) -> npt.NDArray[np.uint8]:
        """The drawing without a background, [64, 64, 4] with straight alpha.

        Raises:
            KeyError: nobody drew it.
        """
        drawing: npt.NDArray[np.uint8] = self._rgba[self._at[asked.style, asked.name]]
        return drawing

    def picture(self, asked: Asked) -> Tensor:
        """The drawing on its background, [3, 64, 64] in [0, 1].

        Raises:
            KeyError: nobody drew it.
        """
        return torch.from_numpy(compose(self.rgba(asked), asked.colour)) / 2 + 0.5

    def all_of(self, style: str, colour: str) -> Tensor:
        """All that the vocabulary names in one style on one background, [N, 3, 64, 64] in [0, 1], as ``names`` goes."""
        rgba = [self._rgba[self._at[style, name]] for name in self.names[style]]
        return torch.from_numpy(np.stack([compose(picture, colour) for picture in rgba])) / 2 + 0.5


def pool(name: str, size: int) -> list[str]:
    """A name and others that it could be taken for, learned ones first, ``size`` in all: the nearer, the harder."""
    learned = glyphs.learned()
    known = set(learned)
    others = learned + [other for other in glyphs.vocabulary() if other not in known]
    return [name, *(other for other in others if other != name)][:size]


def pools(asked: Sequence[Asked], size: int) -> list[list[str]]:
    """The pool of each."""
    made = {name: pool(name, size) for name in {one.name for one in asked}}
    return [made[one.name] for one in asked]
