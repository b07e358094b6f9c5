"""Batches of drawings on backgrounds, as latents with captions, for adapters that learn from a few of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training import glyphs
from training.captions import COLOURS, caption, compose
from training.glyphs import Glyph
from training.settings import work_folder
from training.unet import EMPTY_SHARE, MAX_SHIFT_PX
from training.variants.inpaint_data import encode, load_vae

AT_ONCE = 32
# A share of white of one third: backgrounds are known, and the drawing is what is learned.
ON_WHITE = 6


@dataclass(frozen=True)
class Drawing:
    """A glyph [64, 64, 4] on a background colour."""

    rgba: npt.NDArray[np.uint8]
    glyph: Glyph
    colour: str


def everywhere(rgba: npt.NDArray[np.uint8], glyph: Glyph) -> list[Drawing]:
    """A glyph on every background, and six times on white."""
    colours = ["white"] * ON_WHITE + list(COLOURS)[1:]
    return [Drawing(rgba, glyph, colour) for colour in colours]


def known(count: int) -> list[Drawing]:
    """Drawings that pocket's denoiser has learned, on backgrounds at random, the same at each call."""
    pictures, rows = glyphs.load(work_folder())
    rng, learned = np.random.default_rng(5), set(glyphs.learned())
    chosen = rng.permutation([index for index, row in enumerate(rows) if row.name in learned])[:count]
    colours = list(COLOURS)
    return [
        Drawing(pictures[index], rows[index], colours[int(rng.integers(len(colours)))]) for index in chosen
    ]


class Latents:
    """Drawings, encoded once."""

    def __init__(self, drawings: Sequence[Drawing], seed: int, drop: float) -> None:
        """Encode them, some hundred a second.

        Args:
            drawings: to choose from, all alike.
            seed: of the choices.
            drop: share of captions that do not say the style.
        """
        self._drawings, self._seed, self._drop = drawings, seed, drop
        self._latents = _encoded(drawings)

    def at(self, step: int, batch: int) -> tuple[Tensor, list[str]]:
        """Latents [B, 8, 16, 16] and captions of ``step``; one caption in ten is empty."""
        rng = np.random.default_rng((self._seed, step))
        chosen = rng.integers(len(self._drawings), size=batch)
        captions = []
        for index in chosen:
            its = self._drawings[int(index)]
            empty = rng.random() < EMPTY_SHARE
            captions.append("" if empty else caption(its.glyph, its.colour, rng, drop=self._drop))
        return self._latents[torch.from_numpy(chosen)], captions


@torch.no_grad()
def _encoded(drawings: Sequence[Drawing]) -> Tensor:
    vae, rng, parts = load_vae(), np.random.default_rng(0), []
    for start in range(0, len(drawings), AT_ONCE):
        some = [compose(its.rgba, its.colour, rng, MAX_SHIFT_PX) for its in drawings[start : start + AT_ONCE]]
        parts.append(encode(vae, torch.from_numpy(np.stack(some))))
    return torch.cat(parts)
