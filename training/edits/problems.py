"""Pictures before and after an edit: the pairs that an editing UNet learns on, encoded once.

All is composed of drawings, so the pairs are exact: nothing but what the instruction says differs.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from training import glyphs
from training.captions import COLOURS, MAX_SHIFT_PX
from training.edits.instructions import instruction
from training.settings import autocast_dtype, work_folder
from training.variants.inpaint_data import encode, load_vae

AT_ONCE = 32
# Of the backgrounds of each drawing: white, some of the others, and a colour that has no name, which is only ever left.
NAMED = 5
VARIANTS = NAMED + 2
LATENTS = "edit-latents.npy"
NO_TEXT, NO_PICTURE, NEITHER = 0.05, 0.05, 0.05  # arXiv 2211.09800, section 3.2.1
BACKGROUND, STYLE, BOTH = 0.55, 0.25, 0.12  # the rest are instructions that change nothing


@dataclass(frozen=True)
class Drawn:
    """A drawing on a background."""

    glyph: int
    colour: str | None
    rgb: tuple[int, int, int]


@dataclass(frozen=True)
class Edits:
    """A batch of pictures to change.

    Attributes:
        before: latents of the pictures [B, 8, 16, 16], zeros where the UNet is not told of one.
        x0: latents of the changed ones.
        texts: the instructions, "" where it is not told of one.
    """

    before: Tensor
    x0: Tensor
    texts: list[str]


def drawable() -> set[str]:
    """All names of which there are drawings, but for those that no stage sees."""
    return {row.name for row in glyphs.load(work_folder())[1] if not glyphs.is_held_out(row.name)}


def lay(
    rgba: npt.NDArray[np.uint8], rgb: tuple[int, int, int], shift: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """A drawing [H, W, 4], moved by some pixels, on a colour: [3, H, W] in [-1, 1]."""
    rgba = np.roll(rgba, shift, axis=(0, 1))
    alpha = rgba[..., 3:].astype(np.float32) / 255
    picture = rgba[..., :3] * alpha + np.asarray(rgb, dtype=np.float32) * (1 - alpha)
    return np.ascontiguousarray(picture.transpose(2, 0, 1) / 127.5 - 1)


class Problems:
    """Every drawing of some names on seven backgrounds; those of one name lie at one place.

    Attributes:
        glyphs: what was drawn.
        rows: each drawing and its backgrounds, ``VARIANTS`` in a row.
    """

    def __init__(self, seed: int, names: Collection[str]) -> None:
        """Encode all of it, unless the work folder holds it already (some five minutes on one core).

        Args:
            seed: of the batches.
            names: that the drawings are of.
        """
        self._seed = seed
        pictures, self.glyphs = glyphs.load(work_folder())
        rng, chosen = np.random.default_rng(0), [i for i, row in enumerate(self.glyphs) if row.name in names]
        self.rows = [drawn for index in chosen for drawn in _variants(index, rng)]
        self._of_name: dict[str, list[int]] = defaultdict(list)
        for place, index in enumerate(chosen):
            self._of_name[self.glyphs[index].name].append(place)
        self._shifts = {name: _shift(rng) for name in self._of_name}
        path = work_folder() / LATENTS
        if not path.exists():
            np.save(path, self._encoded(pictures))
        self._latents = np.load(path, mmap_mode="r")
        if len(self._latents) != len(self.rows):
            raise ValueError(f"{path} holds other pictures: delete it")

    @torch.no_grad()
    def _encoded(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
        vae, dtype, parts = load_vae(), autocast_dtype(), []
        for start in tqdm(range(0, len(self.rows), AT_ONCE)):
            some = [
                lay(pictures[row.glyph], row.rgb, self._shifts[self.glyphs[row.glyph].name])
                for row in self.rows[start : start + AT_ONCE]
            ]
            with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
                parts.append(encode(vae, torch.from_numpy(np.stack(some))).float().numpy().astype(np.float16))
        return np.concatenate(parts)

    def at(self, step: int, batch: int) -> Edits:
        """The batch of ``step``; one row in ten is told of no picture, one in ten of no instruction."""
        rng = np.random.default_rng((self._seed, step))
        pairs = [self._pair(rng) for _ in range(batch)]
        before, x0 = (
            torch.from_numpy(self._latents[[pair[side] for pair in pairs]].astype(np.float32))
            for side in (0, 1)
        )
        texts = [text for _, _, text in pairs]
        for row, draw in enumerate(rng.random(batch)):
            if draw < NO_TEXT + NEITHER:
                texts[row] = ""
            if NO_TEXT <= draw < NO_TEXT + NEITHER + NO_PICTURE:
                before[row] = 0
        return Edits(before, x0, texts)

    def _pair(self, rng: np.random.Generator) -> tuple[int, int, str]:
        """Rows of a picture and of the changed one, and the instruction."""
        place = int(rng.integers(len(self.rows) // VARIANTS))
        glyph = self.glyphs[self.rows[place * VARIANTS].glyph]
        others = [other for other in self._of_name[glyph.name] if other != place]
        kind = rng.random()
        restyled = bool(others) and BACKGROUND <= kind < BACKGROUND + STYLE + BOTH
        after = others[int(rng.integers(len(others)))] if restyled else place
        source, target = (int(v) for v in rng.choice(VARIANTS - 1, size=2, replace=False))
        recoloured = not restyled or kind >= BACKGROUND + STYLE
        if not recoloured:
            source, target = self._alike(rng, place, after)
        elif rng.random() < 1 / VARIANTS:
            source = VARIANTS - 1
        if kind >= BACKGROUND + STYLE + BOTH:
            target = source
        return self._worded(rng, place * VARIANTS + source, after * VARIANTS + target, recoloured, restyled)

    def _alike(self, rng: np.random.Generator, one: int, other: int) -> tuple[int, int]:
        """Numbers of the variants in which two drawings lie on one colour; white is always one."""
        colours = [
            [row.colour for row in self.rows[place * VARIANTS : (place + 1) * VARIANTS - 1]]
            for place in (one, other)
        ]
        shared = [colour for colour in colours[0] if colour in colours[1]]
        chosen = shared[int(rng.integers(len(shared)))]
        return colours[0].index(chosen), colours[1].index(chosen)

    def _worded(
        self, rng: np.random.Generator, before: int, after: int, recoloured: bool, restyled: bool
    ) -> tuple[int, int, str]:
        wanted, glyph = self.rows[after], self.glyphs[self.rows[after].glyph]
        # Nobody can ask for a colour without a name: what changes nothing then asks for the style that is there.
        colour = wanted.colour if recoloured else None
        style = glyph.style if restyled or colour is None else None
        return before, after, instruction(rng, name=glyph.name, colour=colour, style=style)


def _shift(rng: np.random.Generator) -> tuple[int, int]:
    down, right = (int(px) for px in rng.integers(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1, size=2))
    return down, right


def _variants(index: int, rng: np.random.Generator) -> list[Drawn]:
    named = ["white", *rng.permutation(list(COLOURS)[1:])[:NAMED]]
    rows = [Drawn(index, str(colour), COLOURS[str(colour)]) for colour in named]
    red, green, blue = (int(level) for level in rng.integers(0, 256, size=3))
    return [*rows, Drawn(index, None, (red, green, blue))]
