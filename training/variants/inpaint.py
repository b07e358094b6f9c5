"""Train pocket-inpaint, a UNet of 17 input channels that sees the hole and what is around it, as a delta on pocket's.

``python -m training.variants.inpaint`` resumes where it stopped and writes ``models/pocket-inpaint``. Then
``python -m training.variants.inpaint --stage refine`` goes on from that delta, at a lower rate, with more rectangles
and with most of the loss in the hole. After each checkpoint a few problems are drawn to ``inpaint.png`` in the work
folder: pictures, what is left of them, what the model makes of that.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn

from training import glyphs
from training.diffusion import diffuse, scheduler
from training.loop import Plan, join, train
from training.settings import autocast_dtype, models_folder, work_folder
from training.variants.delta import adapt, export, restore, widen
from training.variants.fill import Texts, fill
from training.variants.inpaint_data import EVENLY, WHOLE, Holes, Problems, load_vae

NAME = "pocket-inpaint"
BATCH = 64
RANK = 32
# What has another shape than in the base.
REPLACED = ["conv_in.weight"]
LOOKED_AT = 24


@dataclass(frozen=True)
class Stage:
    """One of the two parts of the training.

    Attributes:
        steps: of ``BATCH`` pictures.
        lr: learning rate.
        seed: of its batches and their noise.
        turns: the holes of a batch.
        rest: weight of the error outside of the hole.
    """

    steps: int
    lr: float
    seed: int
    turns: tuple[str, ...] = EVENLY
    rest: float = 1.0


STAGES = {
    "inpaint": Stage(steps=2200, lr=8e-4, seed=0),
    "refine": Stage(
        steps=1500,
        lr=3e-4,
        seed=1,
        turns=("rectangle", "strokes", "rectangle", "glyph", "rectangle") * 2 + (WHOLE,),
        rest=0.25,
    ),
}


def build() -> UNet2DConditionModel:
    """The denoiser of pocket with nine more input channels and deltas; it starts as pocket, blind to the hole."""
    unet = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float()
    in_channels = 2 * unet.config.in_channels + 1
    widen(unet, in_channels)
    adapt(unet, RANK, REPLACED)
    return unet.train()


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=STAGES, default="inpaint")
    parser.add_argument("--steps", type=int, help="instead of the stage's own")
    options = parser.parse_args()
    stage = STAGES[options.stage]
    join()
    torch.manual_seed(0)
    problems, texts = Problems(stage.seed, glyphs.learned(), stage.turns), Texts()
    model = build()
    if stage is not STAGES["inpaint"]:
        restore(model, models_folder() / NAME)
    model = model.to(memory_format=torch.channels_last)

    def look(averaged: nn.Module, step: int) -> None:
        draw_grid(averaged, problems.at(-1 % 2**32, LOOKED_AT), texts, step)

    plan = Plan(steps=options.steps or stage.steps, lr=stage.lr, warmup_steps=50, ema_decay=0.998)
    losses = losses_of(stage, model, problems, texts)
    averaged = train(options.stage, model, losses, plan, work_folder(), on_checkpoint=look)
    base = models_folder() / "pocket"
    export(cast("UNet2DConditionModel", averaged), models_folder() / NAME, base, RANK, REPLACED)


def losses_of(
    stage: Stage, model: nn.Module, problems: Problems, texts: Texts
) -> Callable[[int], dict[str, Tensor]]:
    """The loss of each step of a stage: every noise level and every cell of a place count alike."""
    compiled = cast("nn.Module", torch.compile(model))
    abars, dtype = scheduler().alphas_cumprod, autocast_dtype()

    def losses(step: int) -> dict[str, Tensor]:
        holes = problems.at(step, BATCH)
        rng = torch.Generator().manual_seed(stage.seed * 10**6 + step)
        x_t, timestep, v = diffuse(holes.x0, abars, rng)
        rows = torch.cat([x_t, holes.condition], dim=1).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            predicted = compiled(rows, timestep, texts(holes.captions)).sample
        error = (predicted.float() - v).square().mean(dim=1, keepdim=True)
        mask = holes.condition[:, :1]
        return {"hole": (mask * error).mean(), "rest": stage.rest * ((1 - mask) * error).mean()}

    return losses


@torch.no_grad()
def draw_grid(unet: nn.Module, holes: Holes, texts: Texts, step: int) -> None:
    """Draw pictures, what is left of them and what a UNet makes of that to ``inpaint.png``, for a person to look at."""
    noise = torch.randn(holes.x0.shape, generator=torch.Generator().manual_seed(0))
    filled = fill(cast("UNet2DConditionModel", unet), holes, texts, noise, steps=20, cfg_scale=3.0)
    vae = load_vae()
    rows = [vae.decode(latents).sample for latents in (holes.x0, holes.condition[:, 1:], filled)]
    grid = torch.cat([torch.cat(list(row), dim=-1) for row in rows], dim=-2).clamp(-1, 1)
    picture = Image.fromarray(((grid.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8))
    folder: Path = work_folder()
    for path in (folder / "inpaint.png", folder / f"inpaint-{step:06d}.png"):
        picture.save(path)


if __name__ == "__main__":
    main()
