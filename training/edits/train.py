"""Train pocket-edit, a UNet of 16 input channels that sees the picture to change, as a delta on pocket's.

``python -m training.edits.train`` resumes where it stopped and writes ``models/pocket-edit``. After each checkpoint a
few edits of names that no stage sees are drawn to ``edit.png`` in the work folder: pictures, what was asked for, what
the model makes of them.
"""

import argparse
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from training import glyphs
from training.captions import COLOURS
from training.diffusion import diffuse, scheduler
from training.edits.problems import Edits, Problems, drawable, lay
from training.loop import Plan, join, train
from training.settings import autocast_dtype, models_folder, work_folder
from training.variants.delta import adapt, begin_with, export, widen
from training.variants.fill import Texts
from training.variants.inpaint_data import encode, load_vae
from worker.models.adapters.delta import WEIGHTS

NAME = "pocket-edit"
BATCH = 64
RANK = 48
# What has another shape than in the base.
REPLACED = ["conv_in.weight"]
LOOKED_AT = 16
INPAINT = models_folder() / "pocket-inpaint"


def build() -> UNet2DConditionModel:
    """The denoiser of pocket with eight more input channels and deltas.

    It starts as pocket-inpaint with an empty mask, which has learned to copy the picture that it is told.
    """
    unet = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float()
    own = unet.config.in_channels
    widen(unet, 2 * own)
    adapt(unet, RANK, REPLACED)
    learned = {name: tensor.float() for name, tensor in load_file(INPAINT / WEIGHTS).items()}
    (first,) = REPLACED
    learned[first] = torch.cat(
        [learned[first][:, :own], learned[first][:, own + 1 :]], dim=1
    )  # without the mask's
    begin_with(unet, learned)
    return unet.train()


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument(
        "--run", default="edit", help="name of the checkpoint and the log; another exports nothing"
    )
    options = parser.parse_args()
    join()
    torch.manual_seed(0)
    problems, texts = Problems(seed=0, names=drawable()), Texts()
    shown = lessons_to_look_at()
    model = build().to(memory_format=torch.channels_last)
    abars, dtype = scheduler().alphas_cumprod, autocast_dtype()

    def losses(step: int) -> dict[str, Tensor]:
        edits = problems.at(step, BATCH)
        x_t, timestep, v = diffuse(edits.x0, abars, torch.Generator().manual_seed(step))
        rows = torch.cat([x_t, edits.before], dim=1).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            predicted = model(rows, timestep, texts(edits.texts)).sample
        return {"v": (predicted.float() - v).square().mean()}

    def look(averaged: nn.Module, step: int) -> None:
        draw_grid(averaged, shown, texts, step)

    plan = Plan(steps=options.steps, lr=options.lr, warmup_steps=20, ema_decay=0.99)
    averaged = train(options.run, model, losses, plan, work_folder(), on_checkpoint=look)
    if options.run == "edit":
        unet, base = cast("UNet2DConditionModel", averaged), models_folder() / "pocket"
        export(unet, models_folder() / NAME, base, RANK, REPLACED)


def lessons_to_look_at() -> Edits:
    """Edits of drawings that no stage sees, of background and style in turn; the truth is the background's."""
    pictures, rows = glyphs.load(work_folder())
    rng = np.random.default_rng(7)
    unseen = [index for index, row in enumerate(rows) if glyphs.is_held_out(row.name)]
    colours = list(COLOURS)
    before, after, texts = [], [], []
    for place, index in enumerate(rng.permutation(unseen)[:LOOKED_AT]):
        source, target = (colours[int(c)] for c in rng.choice(len(colours), size=2, replace=False))
        restyled = place % 2
        style = glyphs.STYLES[(glyphs.STYLES.index(rows[index].style) + 1) % len(glyphs.STYLES)]
        before.append(lay(pictures[index], COLOURS[source], (0, 0)))
        after.append(lay(pictures[index], COLOURS[source if restyled else target], (0, 0)))
        texts.append(f"{style} style" if restyled else f"make the background {target}")
    vae = load_vae()
    one, other = (encode(vae, torch.from_numpy(np.stack(side))) for side in (before, after))
    return Edits(one, other, texts)


@torch.no_grad()
def edited(
    unet: nn.Module, edits: Edits, texts: Texts, *, steps: int, cfg_scale: float, image_cfg_scale: float
) -> Tensor:
    """Latents [B, 8, 16, 16] of edited pictures, by deterministic DDIM from one noise (arXiv 2211.09800, eq. 3)."""
    noises, count = scheduler(), len(edits.texts)
    noises.set_timesteps(steps)
    x = torch.randn(edits.x0.shape, generator=torch.Generator().manual_seed(0))
    states = texts([*edits.texts, *[""] * 2 * count])
    told = torch.cat([edits.before, edits.before, torch.zeros_like(edits.before)])
    for t in noises.timesteps:
        rows = torch.cat([x.repeat(3, 1, 1, 1), told], dim=1)
        full, picture, none = unet(rows, t, states).sample.chunk(3)
        v = none + image_cfg_scale * (picture - none) + cfg_scale * (full - picture)
        x = noises.step(v, t, x).prev_sample
    return x


@torch.no_grad()
def draw_grid(unet: nn.Module, shown: Edits, texts: Texts, step: int) -> None:
    """Draw pictures, their edits and the true backgrounds to ``edit.png``, for a person to look at."""
    vae = load_vae()
    made = [
        edited(unet, shown, texts, steps=20, cfg_scale=g, image_cfg_scale=h) for g, h in ((1, 1), (3, 1.5))
    ]
    rows = [vae.decode(latents).sample for latents in (shown.before, *made, shown.x0)]
    grid = torch.cat([torch.cat(list(row), dim=-1) for row in rows], dim=-2).clamp(-1, 1)
    picture = Image.fromarray(((grid.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8))
    folder: Path = work_folder()
    for path in (folder / "edit.png", folder / f"edit-{step:06d}.png"):
        picture.save(path)


if __name__ == "__main__":
    main()
