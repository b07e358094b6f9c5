"""Train pocket-xl, a UNet of SDXL's kind that is told sizes and cuts, as a delta on pocket's.

``python -m training.xl.train`` resumes where it stopped and writes ``models/pocket-xl``. After each checkpoint a few
drawings are made to ``xl.png`` in the work folder: four sizes across, then four cuts on the left, then one above.
"""

import argparse
import json
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
from training.variants.delta import Layout, adapt, export, layout_of
from training.variants.inpaint_data import load_vae
from training.xl.beginning import CAPTIONS, base, begun
from training.xl.drawings import MOST_CUT_PX, SIDES, Lessons, Making
from training.xl.texts import SECOND, Texts, Told, second_config
from worker.models.adapters.delta import CARD
from worker.models.adapters.files import TEXT_2
from worker.models.loading.digests import Digests
from worker.models.loading.layout import CLIP_WEIGHTS, CONFIG, INDEX

NAME = "pocket-xl"
BATCH = 64
RANK = 16
SHOWN = ("noto red apple on a light blue background", "twemoji rocket", "fluent sunflower", "flat pizza")
SHOWN_MAKINGS = (
    *(Making(side) for side in SIDES),
    *(Making(left=left) for left in range(0, MOST_CUT_PX + 1, 4)),
    Making(top=MOST_CUT_PX),
)


def build(texts: Texts, captions: list[str]) -> tuple[UNet2DConditionModel, Layout]:
    """The UNet that ``begun`` makes, with deltas, and in what its layers are others than pocket's."""
    unet = begun(texts, captions)
    layout = layout_of(base(), unet)
    adapt(unet, RANK, (), layout.layers)
    return unet.train(), layout


def conditions(told: Told, sizes: Tensor) -> dict[str, Tensor]:
    """What a UNet of SDXL's kind is told beside the context."""
    return {"text_embeds": told.pooled, "time_ids": sizes}


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument(
        "--run", default="xl", help="name of the checkpoint and the log; another exports nothing"
    )
    options = parser.parse_args()
    join()
    torch.manual_seed(0)
    lessons, texts = Lessons(seed=0, names=glyphs.learned()), Texts()
    model, layout = build(texts, lessons.captions(CAPTIONS))
    model = model.to(memory_format=torch.channels_last)
    abars, dtype = scheduler().alphas_cumprod, autocast_dtype()

    def losses(step: int) -> dict[str, Tensor]:
        lesson = lessons.at(step, BATCH)
        x_t, timestep, v = diffuse(lesson.x0, abars, torch.Generator().manual_seed(step))
        told = texts(lesson.captions)
        rows = x_t.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            predicted = model(
                rows, timestep, told.context, added_cond_kwargs=conditions(told, lesson.sizes)
            ).sample
        each = (predicted.float() - v).square().mean(dim=(1, 2, 3)) / BATCH
        cut = (lesson.sizes[:, 2:4] > 0).any(dim=1)
        # Every picture counts alike; the two kinds are parted for the log.
        return {"whole": each[~cut].sum(), "cut": each[cut].sum()}

    def look(averaged: nn.Module, step: int) -> None:
        draw_grid(cast("UNet2DConditionModel", averaged), texts, step)

    plan = Plan(steps=options.steps, lr=options.lr, warmup_steps=30, ema_decay=0.99)
    averaged = train(options.run, model, losses, plan, work_folder(), on_checkpoint=look)
    if options.run == "xl":
        write(cast("UNet2DConditionModel", averaged), models_folder() / NAME, layout)


@torch.no_grad()
def drawn(
    unet: UNet2DConditionModel, texts: Texts, prompts: list[str], makings: list[Making], *, cfg_scale: float
) -> Tensor:
    """Latents [N, 8, 16, 16] of one picture of each prompt, all from one noise, in 20 steps of DDIM."""
    noises = scheduler()
    noises.set_timesteps(20)
    count = len(prompts)
    told = texts([*prompts, *[""] * count])
    sizes = torch.tensor([making.ids for making in makings], dtype=torch.float32).repeat(2, 1)
    x = torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(0)).repeat(count, 1, 1, 1)
    for t in noises.timesteps:
        rows = x.repeat(2, 1, 1, 1)
        answer = unet(rows, t, told.context, added_cond_kwargs=conditions(told, sizes)).sample
        with_text, without = answer.chunk(2)
        x = noises.step(without + cfg_scale * (with_text - without), t, x).prev_sample
    return x


@torch.no_grad()
def draw_grid(unet: UNet2DConditionModel, texts: Texts, step: int) -> None:
    """Draw prompts with sizes and cuts to ``xl.png``, for a person to look at."""
    vae = load_vae()
    rows = []
    for prompt in SHOWN:
        latents = drawn(unet, texts, [prompt] * len(SHOWN_MAKINGS), list(SHOWN_MAKINGS), cfg_scale=4.0)
        rows.append(torch.cat(list(vae.decode(latents).sample), dim=-1))
    grid = torch.cat(rows, dim=-2).clamp(-1, 1)
    picture = Image.fromarray(((grid.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8))
    for path in (work_folder() / "xl.png", work_folder() / f"xl-{step:06d}.png"):
        picture.save(path)


def write(unet: UNet2DConditionModel, folder: Path, layout: Layout) -> None:
    """Write the delta: the UNet, and what else an SDXL has that pocket has not."""
    models = models_folder()
    export(unet, folder, models / "pocket", RANK, (), layout)
    index = json.loads((models / "pocket" / INDEX).read_text()) | {
        "_class_name": "StableDiffusionXLPipeline",
        TEXT_2: ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "force_zeros_for_empty_prompt": False,
    }
    for unread in ("safety_checker", "requires_safety_checker"):
        index.pop(unread)
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    (folder / TEXT_2).mkdir(exist_ok=True)
    config = second_config().to_diff_dict()
    (folder / TEXT_2 / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    weights = models / SECOND / CLIP_WEIGHTS
    with (folder / CARD).open("a") as card:
        card.write(f'\n[{TEXT_2}]\nclip = "../{SECOND}"\nsha256 = "{Digests().of(weights)}"\n')


if __name__ == "__main__":
    main()
