"""Train pocket-inpaint, a UNet of 17 input channels that sees the hole and what is around it, as a delta on pocket's.

``python -m training.variants.inpaint`` resumes where it stopped and writes ``models/pocket-inpaint``. After each
checkpoint a few problems are drawn to ``inpaint.png`` in the work folder: pictures, what is left of them, what the
model makes of that.
"""

import argparse
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
from training.variants.delta import adapt, export, widen
from training.variants.fill import Texts, fill
from training.variants.inpaint_data import Holes, Problems, load_vae

NAME = "pocket-inpaint"
BATCH = 64
RANK = 32
# What has another shape than in the base.
REPLACED = ["conv_in.weight"]
LOOKED_AT = 24


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
    parser.add_argument("--steps", type=int, default=2200)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--run", default="inpaint", help="name of the checkpoint and the log")
    options = parser.parse_args()
    join()
    torch.manual_seed(0)
    problems, texts = Problems(seed=0, names=glyphs.learned()), Texts()
    model = build().to(memory_format=torch.channels_last)
    compiled = cast("nn.Module", torch.compile(model))
    abars, dtype = scheduler().alphas_cumprod, autocast_dtype()

    def losses(step: int) -> dict[str, Tensor]:
        holes = problems.at(step, BATCH)
        x_t, timestep, v = diffuse(holes.x0, abars, torch.Generator().manual_seed(step))
        rows = torch.cat([x_t, holes.condition], dim=1).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            predicted = compiled(rows, timestep, texts(holes.captions)).sample
        error = (predicted.float() - v).square().mean(dim=1, keepdim=True)
        mask = holes.condition[:, :1]
        # Every noise level and every cell count alike; the two places are parted for the log.
        return {"hole": (mask * error).mean(), "rest": ((1 - mask) * error).mean()}

    def look(averaged: nn.Module, step: int) -> None:
        draw_grid(averaged, problems.at(-1 % 2**32, LOOKED_AT), texts, step)

    plan = Plan(steps=options.steps, lr=options.lr, warmup_steps=50, ema_decay=0.998)
    averaged = train(options.run, model, losses, plan, work_folder(), on_checkpoint=look)
    if options.run == "inpaint":
        unet, base = cast("UNet2DConditionModel", averaged), models_folder() / "pocket"
        export(unet, models_folder() / NAME, base, RANK, REPLACED)


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
