"""Train pocket-edges, a Control-LoRA that makes pocket's pictures follow the edges of a drawing.

``python -m training.variants.edges`` resumes where it stopped and writes ``models/pocket-edges``. After each
checkpoint a few maps of held-out names are drawn to ``edges.png`` in the work folder: true drawings, their edges, what
pocket makes of these, with the caption and without.
"""

import argparse
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from jobs.pictures.maps.edges import canny
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

NAME = "pocket-edges"
BATCH = 32
RANK = 32
ROWS = 8_000
AT_ONCE = 32
# The map has to carry the shape by itself: without a text it is all that there is.
EMPTY_SHARE = 0.3
LOW, HIGH = 100, 200  # the service's thresholds
LOOKED_AT = 16
EXPORTED_FROM = 200  # steps; fewer are a trial


@dataclass(frozen=True)
class Traced:
    """Pictures and the maps of their edges.

    Attributes:
        x0: latents [B, 8, 16, 16].
        maps: [B, 3, 64, 64], true on edges.
        captions: of the pictures.
    """

    x0: Tensor
    maps: Tensor
    captions: list[str]


def edges_of(picture: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The edges [H, W] of a picture [3, H, W] in [-1, 1], as the service finds them."""
    levels = ((picture.transpose(1, 2, 0) + 1) * 127.5).round().astype(np.uint8)
    return canny(levels, LOW, HIGH)


def drawable() -> set[str]:
    """All names of which there are drawings, but for those that no stage sees."""
    return {row.name for row in glyphs.load(work_folder())[1] if not glyphs.is_held_out(row.name)}


def unseen() -> set[str]:
    """The names of the vocabulary that no stage sees."""
    return {name for name in glyphs.vocabulary() if glyphs.is_held_out(name)}


class Problems:
    """Drawings on backgrounds at random, with their edges, encoded once.

    Attributes:
        shown: each drawing and its background.
        whole: all of them in order, with full captions.
    """

    def __init__(self, seed: int, count: int, names: Collection[str]) -> None:
        """Encode them, some hundred a second.

        Args:
            seed: of the backgrounds and the batches.
            count: of the drawings.
            names: that they are of.
        """
        pictures, rows = glyphs.load(work_folder())
        usable = [index for index, row in enumerate(rows) if row.name in names]
        rng, self._seed = np.random.default_rng(seed), seed
        self.shown: list[tuple[Glyph, str]] = []
        latents, maps = [], []
        vae = load_vae()
        for start in range(0, count, AT_ONCE):
            shown = []
            for index in rng.choice(usable, size=min(AT_ONCE, count - start)):
                colour = random_colour(rng)
                shown.append(compose(pictures[index], colour, rng, MAX_SHIFT_PX))
                self.shown.append((rows[index], colour))
            maps += [edges_of(picture) for picture in shown]
            latents.append(encode(vae, torch.from_numpy(np.stack(shown))))
        captions = [caption(*its, rng, drop=0) for its in self.shown]
        self.whole = Traced(torch.cat(latents), _as_pictures(np.stack(maps)), captions)

    def at(self, step: int, batch: int) -> Traced:
        """The batch of ``step``; three captions in ten are empty."""
        rng = np.random.default_rng((self._seed, step))
        chosen = rng.integers(len(self.shown), size=batch)
        captions = [
            "" if rng.random() < EMPTY_SHARE else caption(*self.shown[int(row)], rng, drop=0.1)
            for row in chosen
        ]
        index = torch.from_numpy(chosen)
        return Traced(self.whole.x0[index], self.whole.maps[index].float(), captions)


def _as_pictures(edges: np.ndarray[Any, np.dtype[np.bool_]]) -> Tensor:
    return torch.from_numpy(edges)[:, None].expand(-1, 3, -1, -1)


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=680)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--rows", type=int, default=ROWS)
    options = parser.parse_args()
    join()
    torch.manual_seed(0)
    problems, texts = Problems(0, options.rows, drawable()), Texts()
    shown = Problems(1, LOOKED_AT, unseen()).whole
    unet = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float().eval()
    unet = unet.requires_grad_(False).to(memory_format=torch.channels_last)
    control = ControlLora(unet, RANK).train().to(memory_format=torch.channels_last)
    abars, dtype = scheduler().alphas_cumprod, autocast_dtype()

    def losses(step: int) -> dict[str, Tensor]:
        traced = problems.at(step, BATCH)
        x_t, timestep, v = diffuse(traced.x0, abars, torch.Generator().manual_seed(step))
        rows = x_t.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            predicted = followed(unet, control, rows, timestep, texts(traced.captions), traced.maps)
        return {"v": F.mse_loss(predicted.float(), v)}

    plan = Plan(steps=options.steps, lr=options.lr, warmup_steps=50, ema_decay=0.99)
    averaged = train(
        "edges",
        control,
        losses,
        plan,
        work_folder(),
        on_checkpoint=lambda model, step: draw_grid(unet, model, shown, texts, step),
    )
    if options.steps >= EXPORTED_FROM:
        export(cast("ControlLora", averaged), models_folder() / NAME)


@torch.no_grad()
def drawn(
    unet: nn.Module, control: nn.Module | None, traced: Traced, texts: Texts, *, steps: int, cfg_scale: float
) -> Tensor:
    """Latents [B, 8, 16, 16] that follow maps, if there is a ControlNet, by deterministic DDIM from the same noise."""
    noises, count = scheduler(), len(traced.captions)
    noises.set_timesteps(steps)
    x = torch.randn(traced.x0.shape, generator=torch.Generator().manual_seed(0))
    states, maps = texts([*traced.captions, *[""] * count]), traced.maps.float().repeat(2, 1, 1, 1)
    for t in noises.timesteps:
        rows, at = x.repeat(2, 1, 1, 1), t.expand(2 * count)
        answer = followed(unet, control, rows, at, states, maps) if control else unet(rows, at, states).sample
        with_text, without = answer.chunk(2)
        x = noises.step(without + cfg_scale * (with_text - without), t, x).prev_sample
    return x


@torch.no_grad()
def draw_grid(unet: nn.Module, control: nn.Module, shown: Traced, texts: Texts, step: int) -> None:
    """Draw true drawings, their edges and what is made of these to ``edges.png``, for a person to look at."""
    vae, untold = load_vae(), replace(shown, captions=[""] * len(shown.captions))
    made = [drawn(unet, control, each, texts, steps=20, cfg_scale=3.0) for each in (shown, untold)]
    rows = [vae.decode(latents).sample for latents in (shown.x0, *made)]
    rows.insert(1, shown.maps * 2.0 - 1)
    grid = torch.cat([torch.cat(list(row), dim=-1) for row in rows], dim=-2).clamp(-1, 1)
    picture = Image.fromarray(((grid.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8))
    folder: Path = work_folder()
    for path in (folder / "edges.png", folder / f"edges-{step:06d}.png"):
        picture.save(path)


if __name__ == "__main__":
    main()
