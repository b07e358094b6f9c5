"""Drawings with maps of them, and a Control-LoRA that learns to make pocket's pictures follow such maps."""

import argparse
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from training import glyphs
from training.captions import caption, compose, random_colour
from training.diffusion import diffuse, scheduler
from training.glyphs import Glyph
from training.loop import Plan, join, train
from training.settings import autocast_dtype, models_folder, work_folder
from training.unet import MAX_SHIFT_PX
from training.variants.control_lora import ControlLora, export, followed
from training.variants.fill import Texts
from training.variants.inpaint_data import encode, load_vae

BATCH = 32
RANK = 32
ROWS = 8_000
AT_ONCE = 32
# The map has to carry the shape by itself: without a text it is all that there is.
EMPTY_SHARE = 0.3
UNNAMED = "white"  # the background that captions never name
LOOKED_AT = 16
EXPORTED_FROM = 200  # steps; fewer are a trial

# Of a picture [3, H, W] in [-1, 1]: the map that the service makes of it, [3, H, W] in [0, 255].
MapOf = Callable[[npt.NDArray[np.float32], np.random.Generator], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Mapped:
    """Pictures and maps of them.

    Attributes:
        x0: latents [B, 8, 16, 16].
        maps: [B, 3, 64, 64] in [0, 1].
        captions: of the pictures.
    """

    x0: Tensor
    maps: Tensor
    captions: list[str]


def drawable() -> set[str]:
    """All names of which there are drawings, but for those that no stage sees."""
    return {row.name for row in glyphs.load(work_folder())[1] if not glyphs.is_held_out(row.name)}


def unseen() -> set[str]:
    """The names of the vocabulary that no stage sees."""
    return {name for name in glyphs.vocabulary() if glyphs.is_held_out(name)}


def levels(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """A picture [3, H, W] in [-1, 1] as the service reads it: [H, W, 3] in [0, 255]."""
    return ((picture.transpose(1, 2, 0) + 1) * 127.5).round().astype(np.uint8)


class Problems:
    """Drawings on backgrounds at random, with maps of them, encoded once.

    Attributes:
        shown: each drawing and its background.
    """

    def __init__(
        self, seed: int, count: int, names: Collection[str], map_of: MapOf, untold: float = 0.0
    ) -> None:
        """Encode them, some hundred a second.

        Args:
            seed: of the backgrounds, the maps and the batches.
            count: of the drawings.
            names: that they are of.
            map_of: makes the maps.
            untold: share of the captions of batches that leave the background out.
        """
        self._untold = untold
        pictures, rows = glyphs.load(work_folder())
        usable = [index for index, row in enumerate(rows) if row.name in names]
        rng, of_maps, self._seed = np.random.default_rng(seed), np.random.default_rng((seed, 1)), seed
        self.shown: list[tuple[Glyph, str]] = []
        latents, maps = [], []
        vae = load_vae()
        for start in range(0, count, AT_ONCE):
            shown = []
            for index in rng.choice(usable, size=min(AT_ONCE, count - start)):
                colour = random_colour(rng)
                shown.append(compose(pictures[index], colour, rng, MAX_SHIFT_PX))
                self.shown.append((rows[index], colour))
            maps += [map_of(picture, of_maps) for picture in shown]
            latents.append(encode(vae, torch.from_numpy(np.stack(shown))))
        self._captions = [caption(*its, rng, drop=0) for its in self.shown]
        self._latents, self._maps = torch.cat(latents), torch.from_numpy(np.stack(maps))

    @property
    def whole(self) -> Mapped:
        """All of them in order, with full captions."""
        return Mapped(self._latents, self._maps / 255, self._captions)

    def at(self, step: int, batch: int) -> Mapped:
        """The batch of ``step``; three captions in ten are empty."""
        rng = np.random.default_rng((self._seed, step))
        chosen = rng.integers(len(self.shown), size=batch)
        captions = ["" if rng.random() < EMPTY_SHARE else self._caption(int(row), rng) for row in chosen]
        index = torch.from_numpy(chosen)
        return Mapped(self._latents[index], self._maps[index] / 255, captions)

    def _caption(self, row: int, rng: np.random.Generator) -> str:
        glyph, colour = self.shown[row]
        is_untold = self._untold and rng.random() < self._untold
        return caption(glyph, UNNAMED if is_untold else colour, rng, drop=0.1)


def options(description: str | None, *, steps: int) -> argparse.Namespace:
    """The options of a training from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--rows", type=int, default=ROWS)
    return parser.parse_args()


def learn(stem: str, name: str, map_of: MapOf, chosen: argparse.Namespace, untold: float = 0.0) -> None:
    """Train a Control-LoRA, resuming if it was interrupted, and export it.

    After each checkpoint a few maps of held-out names are drawn to ``STEM.png`` in the work folder: true drawings,
    their maps, what pocket makes of these, with the caption and without.

    Args:
        stem: of the checkpoint, the log and the grids.
        name: of the folder in ``models/``.
        map_of: makes the maps.
        chosen: the options.
        untold: share of the captions that leave the background out.
    """
    join()
    torch.manual_seed(0)
    problems, texts = Problems(0, chosen.rows, drawable(), map_of, untold), Texts()
    shown = Problems(1, LOOKED_AT, unseen(), map_of).whole
    unet = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float().eval()
    unet = unet.requires_grad_(False).to(memory_format=torch.channels_last)
    control = ControlLora(unet, RANK).train().to(memory_format=torch.channels_last)
    abars, dtype = scheduler().alphas_cumprod, autocast_dtype()

    def losses(step: int) -> dict[str, Tensor]:
        batch = problems.at(step, BATCH)
        x_t, timestep, v = diffuse(batch.x0, abars, torch.Generator().manual_seed(step))
        rows = x_t.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            predicted = followed(unet, control, rows, timestep, texts(batch.captions), batch.maps)
        return {"v": F.mse_loss(predicted.float(), v)}

    plan = Plan(steps=chosen.steps, lr=chosen.lr, warmup_steps=50, ema_decay=0.99)
    averaged = train(
        stem,
        control,
        losses,
        plan,
        work_folder(),
        on_checkpoint=lambda model, step: draw_grid(stem, unet, model, shown, texts, step),
    )
    if chosen.steps >= EXPORTED_FROM:
        export(cast("ControlLora", averaged), models_folder() / name)


@torch.no_grad()
def drawn(
    unet: nn.Module, control: nn.Module | None, mapped: Mapped, texts: Texts, *, steps: int, cfg_scale: float
) -> Tensor:
    """Latents [B, 8, 16, 16] that follow maps, if there is a ControlNet, by deterministic DDIM from the same noise."""
    noises, count = scheduler(), len(mapped.captions)
    noises.set_timesteps(steps)
    x = torch.randn(mapped.x0.shape, generator=torch.Generator().manual_seed(0))
    states, maps = texts([*mapped.captions, *[""] * count]), mapped.maps.repeat(2, 1, 1, 1)
    for t in noises.timesteps:
        rows, at = x.repeat(2, 1, 1, 1), t.expand(2 * count)
        answer = followed(unet, control, rows, at, states, maps) if control else unet(rows, at, states).sample
        with_text, without = answer.chunk(2)
        x = noises.step(without + cfg_scale * (with_text - without), t, x).prev_sample
    return x


@torch.no_grad()
def draw_grid(stem: str, unet: nn.Module, control: nn.Module, shown: Mapped, texts: Texts, step: int) -> None:
    """Draw true drawings, their maps and what is made of these to ``STEM.png``, for a person to look at."""
    vae, untold = load_vae(), replace(shown, captions=[""] * len(shown.captions))
    made = [drawn(unet, control, each, texts, steps=20, cfg_scale=3.0) for each in (shown, untold)]
    rows = [vae.decode(latents).sample for latents in (shown.x0, *made)]
    rows.insert(1, shown.maps * 2.0 - 1)
    grid = torch.cat([torch.cat(list(row), dim=-1) for row in rows], dim=-2).clamp(-1, 1)
    picture = Image.fromarray(((grid.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8))
    folder: Path = work_folder()
    for path in (folder / f"{stem}.png", folder / f"{stem}-{step:06d}.png"):
        picture.save(path)
