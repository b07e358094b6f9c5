"""Drawings that were small once, or were cut, and the sizes that say so: what pocket-xl learns on, encoded once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from training import glyphs
from training.captions import caption, compose, random_colour
from training.glyphs import PICTURE_PX, Glyph
from training.settings import autocast_dtype, work_folder
from training.unet import EMPTY_SHARE
from training.variants.inpaint_data import encode, load_vae

SIDES = (16, 24, 32, PICTURE_PX)
SIDE_SHARES = (0.2, 0.2, 0.2, 0.4)
MOST_CUT_PX = 12
WHOLE_SHARE = 0.4
VERSIONS = 24  # of each drawing
ENCODED_AT_ONCE = 32
LATENTS = "xl-latents.npy"


@dataclass(frozen=True)
class Making:
    """How a picture is said to have been made.

    Attributes:
        side: of the picture before it was enlarged to 64 px, in pixels.
        top: pixels cut off above, after that.
        left: pixels cut off on the left.
    """

    side: int = PICTURE_PX
    top: int = 0
    left: int = 0

    @property
    def ids(self) -> list[int]:
        """SDXL's six numbers: original height and width, top and left, target height and width."""
        return [self.side, self.side, self.top, self.left, PICTURE_PX, PICTURE_PX]


def random_making(rng: np.random.Generator) -> Making:
    """Two fifths are whole, two fifths were never small."""
    side = int(rng.choice(SIDES, p=SIDE_SHARES))
    if rng.random() < WHOLE_SHARE:
        return Making(side)
    top, left = (int(cut) for cut in rng.integers(MOST_CUT_PX + 1, size=2))
    return Making(side, top, left)


def made(rgba: npt.NDArray[np.uint8], colour: str, making: Making) -> npt.NDArray[np.float32]:
    """A drawing as it would be after such a making.

    It is cut above and on the left, and gets as much more background below and on the right: it moves by what is cut.
    At a cut of 0 the whole drawing is in the middle, so that a request that states nothing draws that.

    Args:
        rgba: [64, 64, 4] with straight alpha.
        colour: of the background.
        making: its size and its cut.

    Returns:
        [3, 64, 64] in [-1, 1].
    """
    moved = np.zeros_like(rgba)
    moved[: PICTURE_PX - making.top, : PICTURE_PX - making.left] = rgba[making.top :, making.left :]
    picture = compose(moved, colour)
    return picture if making.side == PICTURE_PX else _enlarged_from(picture, making.side)


def _enlarged_from(picture: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    """A picture [3, 64, 64], made smaller and larger again by bicubic interpolation."""
    small = F.interpolate(torch.from_numpy(picture)[None], (side, side), mode="bicubic", antialias=True)
    large = F.interpolate(small, (PICTURE_PX, PICTURE_PX), mode="bicubic").clamp(-1, 1)
    enlarged: npt.NDArray[np.float32] = large[0].numpy()
    return enlarged


@dataclass(frozen=True)
class Lesson:
    """A batch.

    Attributes:
        x0: latents [B, 8, 16, 16].
        sizes: SDXL's six numbers, [B, 6].
        captions: of the pictures.
    """

    x0: Tensor
    sizes: Tensor
    captions: list[str]


class Lessons:
    """Every learned drawing in 24 versions: on random backgrounds, of random makings."""

    def __init__(self, seed: int, names: list[str]) -> None:
        """Encode all of it, unless the work folder holds it already (some minutes on one core)."""
        self._seed = seed
        pictures, rows = glyphs.load(work_folder())
        wanted = set(names)
        self._learned = [index for index, glyph in enumerate(rows) if glyph.name in wanted]
        self._glyphs: list[Glyph] = rows
        rng = np.random.default_rng(seed)
        self._versions = [
            (index, random_colour(rng), random_making(rng))
            for index in self._learned
            for _ in range(VERSIONS)
        ]
        if not (work_folder() / LATENTS).exists():
            self._encode_all(pictures)
        self._latents = np.load(work_folder() / LATENTS, mmap_mode="r")
        if len(self._latents) != len(self._versions):
            raise ValueError(f"{work_folder() / LATENTS} is of other drawings: delete it")

    @torch.no_grad()
    def _encode_all(self, pictures: npt.NDArray[np.uint8]) -> None:
        vae, dtype = load_vae(), autocast_dtype()
        latents = []
        for start in tqdm(range(0, len(self._versions), ENCODED_AT_ONCE)):
            some = self._versions[start : start + ENCODED_AT_ONCE]
            drawn = np.stack([made(pictures[index], colour, making) for index, colour, making in some])
            with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
                latents.append(encode(vae, torch.from_numpy(drawn)).float().numpy().astype(np.float16))
        np.save(work_folder() / LATENTS, np.concatenate(latents))

    def at(self, step: int, batch: int) -> Lesson:
        """The batch of ``step``; one caption in ten is empty."""
        rng = np.random.default_rng((self._seed, step))
        chosen = rng.integers(len(self._versions), size=batch)
        versions = [self._versions[int(at)] for at in chosen]
        captions = [
            "" if rng.random() < EMPTY_SHARE else caption(self._glyphs[index], colour, rng, drop=0.1)
            for index, colour, _ in versions
        ]
        sizes = torch.tensor([making.ids for *_, making in versions], dtype=torch.float32)
        return Lesson(torch.from_numpy(self._latents[chosen].astype(np.float32)), sizes, captions)

    def captions(self, count: int) -> list[str]:
        """Captions of the first batches, to fit what reads them to pocket's."""
        batches = (self.at(step, ENCODED_AT_ONCE) for step in range(-(-count // ENCODED_AT_ONCE)))
        return [words for lesson in batches for words in lesson.captions][:count]
