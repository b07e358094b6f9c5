"""Pictures with a hole: the problems that an inpainting UNet learns on, encoded once."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from tqdm import tqdm

from training import glyphs
from training.captions import COLOURS, caption, compose
from training.glyphs import PICTURE_PX, Glyph
from training.settings import autocast_dtype, models_folder, work_folder
from training.unet import EMPTY_SHARE, MAX_SHIFT_PX, WHITE_VARIANTS
from training.variants.masks import KINDS, hide, random_mask, to_latents

ENCODED_AT_ONCE = 16
LATENTS, HIDDEN, MASKS = "inpaint-latents.npy", "inpaint-hidden.npy", "inpaint-masks.npy"


@dataclass(frozen=True)
class Holes:
    """A batch of pictures to complete.

    Attributes:
        x0: latents of the whole pictures [B, 8, 16, 16].
        condition: what a UNet is told beside the noisy latents [B, 9, 16, 16]: the mask, then the latents of the
            picture with mid-grey in the hole.
        captions: of the whole pictures.
    """

    x0: Tensor
    condition: Tensor
    captions: list[str]


def load_vae() -> AutoencoderKL:
    """The pocket autoencoder in fp32."""
    vae = AutoencoderKL.from_pretrained(models_folder() / "pocket" / "vae").float().eval()
    return cast("AutoencoderKL", vae.to(memory_format=torch.channels_last))  # a third faster so


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """The most likely latents [N, 8, H/4, W/4] of pictures [N, 3, H, W] in [-1, 1]."""
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    latents: Tensor = vae.encode(pictures).latent_dist.mode() * vae.config.scaling_factor
    return latents


def condition(vae: AutoencoderKL, pictures: Tensor, masks: Tensor) -> Tensor:
    """What an inpainting UNet is told.

    Args:
        vae: encodes the masked pictures.
        pictures: [N, 3, H, W] in [-1, 1].
        masks: [N, 1, H, W], true where to paint anew.

    Returns:
        [N, 9, H/4, W/4]: the mask, then the latents of the masked picture.
    """
    return torch.cat([to_latents(masks), encode(vae, hide(pictures, masks))], dim=1)


class Problems:
    """Every learned glyph on every background, four times on white, each with one hole of every kind."""

    def __init__(self, seed: int, names: list[str]) -> None:
        """Encode all of it, unless the work folder holds it already (some ten minutes on one core)."""
        self._seed = seed
        self._pictures, self._glyphs = glyphs.load(work_folder())
        wanted = set(names)
        self.rows: list[tuple[Glyph, str]] = []
        self._indices: list[int] = []
        for index, glyph in enumerate(self._glyphs):
            if glyph.name in wanted and not glyphs.is_held_out(glyph.name):
                colours = ["white"] * WHITE_VARIANTS + list(COLOURS)[1:]
                self.rows += [(glyph, colour) for colour in colours]
                self._indices += [index] * len(colours)
        vae = load_vae()
        whole = torch.ones(1, 1, PICTURE_PX, PICTURE_PX, dtype=torch.bool)
        self._whole = condition(vae, torch.zeros(1, 3, PICTURE_PX, PICTURE_PX), whole)[0]
        if not (work_folder() / MASKS).exists():
            self._encode_all(vae)
        self._latents, self._hidden, self._masks = (
            np.load(work_folder() / name, mmap_mode="r") for name in (LATENTS, HIDDEN, MASKS)
        )

    def _encode_all(self, vae: AutoencoderKL) -> None:
        rng, dtype = np.random.default_rng(0), autocast_dtype()
        latents, hidden, masks = [], [], []
        for start in tqdm(range(0, len(self.rows), ENCODED_AT_ONCE)):
            some = range(start, min(start + ENCODED_AT_ONCE, len(self.rows)))
            pictures, holes = self._draw(some, rng)
            latents.append(encode(vae, pictures).numpy().astype(np.float16))
            with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
                told = condition(vae, pictures.repeat_interleave(len(KINDS), dim=0), holes.flatten(0, 1))
            told = told.unflatten(0, (-1, len(KINDS)))
            masks.append(told[:, :, :1].float().numpy().astype(bool))
            hidden.append(told[:, :, 1:].float().numpy().astype(np.float16))
        for name, parts in ((LATENTS, latents), (HIDDEN, hidden), (MASKS, masks)):
            np.save(work_folder() / name, np.concatenate(parts))

    def _draw(self, some: range, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Pictures [N, 3, 64, 64] in [-1, 1] and masks [N, 3, 1, 64, 64], one of each kind."""
        pictures: list[npt.NDArray[np.float32]] = []
        holes: list[npt.NDArray[np.bool_]] = []
        for row in some:
            shift = tuple(int(s) for s in rng.integers(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1, size=2))
            rgba = np.roll(self._pictures[self._indices[row]], shift, axis=(0, 1))
            pictures.append(compose(rgba, self.rows[row][1]))
            holes.append(np.stack([random_mask(kind, rgba[..., 3], rng)[None] for kind in KINDS]))
        return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(holes))

    def at(self, step: int, batch: int) -> Holes:
        """The batch of ``step``: a quarter all hole, a quarter of each kind of hole; one empty text in ten."""
        rng = np.random.default_rng((self._seed, step))
        chosen = rng.integers(len(self.rows), size=batch)
        told = self._whole.repeat(batch, 1, 1, 1)
        for kind in range(len(KINDS)):
            # In turn, as the noise levels go up along the batch.
            turn = slice(kind, None, len(KINDS) + 1)
            told[turn, :1] = torch.from_numpy(self._masks[chosen[turn], kind].astype(np.float32))
            told[turn, 1:] = torch.from_numpy(self._hidden[chosen[turn], kind].astype(np.float32))
        captions = [
            "" if rng.random() < EMPTY_SHARE else caption(*self.rows[int(row)], rng, drop=0.1)
            for row in chosen
        ]
        return Holes(torch.from_numpy(self._latents[chosen].astype(np.float32)), told, captions)
