"""Teach pocket to draw in few steps: ``python -m training.few_steps.learn`` writes ``models/adapters/lcm``.

Latent consistency distillation (Luo et al. 2023, arXiv:2310.04378, algorithm 1) into low-rank factors (LCM-LoRA,
arXiv:2311.05556). The teacher is pocket's denoiser with classifier-free guidance at one scale, since a LoRA is told of
none. The target is the student itself without gradient, as in the published training of LCM LoRAs. It resumes where it
stopped. After each checkpoint it draws the usual prompts in four steps to ``lcm.png`` in the work folder, and prints
how far one step leads from where the teacher's 25 steps lead.
"""

import argparse
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from diffusers import LCMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn

from training import glyphs
from training.adapters.drawings import Drawing, Latents
from training.adapters.lora import About, export
from training.captions import COLOURS
from training.diffusion import scheduler
from training.few_steps import consistency
from training.loop import Plan, join, train
from training.settings import autocast_dtype, models_folder, work_folder
from training.unet import GRID, pipeline
from training.variants.delta import adapt
from training.variants.fill import Texts

NAME = "lcm"
RANK = 16
BATCH = 32
SCALE = 2.0
# Timesteps of a step of the teacher, a run of 10 steps. With 40 the errors of more steps add up: the loss rose.
SKIP = 100
# Of each drawing: most prompts name no background.
ON_WHITE, ON_COLOURS = 3, 3
DROP = 0.1  # share of captions without a style
LOOKED_AT = 16
TEACHER_STEPS, FEW_STEPS = 25, 4

Losses = Callable[[int], dict[str, Tensor]]


def lessons() -> Latents:
    """All drawings that pocket's denoiser has learned, on white and on other backgrounds."""
    rng, names, rows = np.random.default_rng(7), set(glyphs.learned()), []
    others = list(COLOURS)[1:]
    for rgba, glyph in zip(*glyphs.load(work_folder()), strict=True):
        if glyph.name in names:
            chosen = ["white"] * ON_WHITE + [
                str(each) for each in rng.choice(others, ON_COLOURS, replace=False)
            ]
            rows += [Drawing(rgba, glyph, colour) for colour in chosen]
    return Latents(rows, seed=0, drop=DROP)


def load_unet() -> UNet2DConditionModel:
    """Pocket's denoiser in fp32, frozen."""
    unet = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float().eval()
    unet.requires_grad_(False)
    return cast("UNet2DConditionModel", unet.to(memory_format=torch.channels_last))


class Distillation:
    """The losses of a student beside its teacher."""

    def __init__(self, student: nn.Module, teacher: nn.Module, data: Latents, scale: float) -> None:
        """Encode the empty prompt.

        Args:
            student: answers as the UNet does; its gradients are wanted.
            teacher: likewise, frozen.
            data: what to draw from.
            scale: of the teacher's classifier-free guidance.
        """
        self._student, self._teacher, self._data, self._scale = student, teacher, data, scale
        self._texts, self._abars = Texts(), scheduler().alphas_cumprod
        self._empty = self._texts([""]).expand(BATCH, -1, -1)

    def at(self, update: int) -> dict[str, Tensor]:
        """The loss of an update."""
        x0, captions = self._data.at(update, BATCH)
        rng = torch.Generator().manual_seed(update)
        abars, context = self._abars, self._texts(captions)
        timestep = consistency.drawn(BATCH, len(abars), rng)
        earlier = (timestep - SKIP).clamp(min=0)
        x = consistency.noised(x0, timestep, abars, rng)
        with torch.no_grad():
            twice, texts = timestep.repeat(2), torch.cat([context, self._empty])
            with_text, without = _answer(self._teacher, x.repeat(2, 1, 1, 1), twice, texts).chunk(2)
            v = consistency.guided(with_text, without, self._scale)
            before = consistency.solved(x, v, timestep, earlier, abars)
            wanted = consistency.consistent(
                before, _answer(self._student, before, earlier, context), earlier, abars
            )
        made = consistency.consistent(x, _answer(self._student, x, timestep, context), timestep, abars)
        return {"huber": consistency.pseudo_huber(made, wanted)}


def _answer(unet: nn.Module, x: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
    """The UNet's v in fp32, computed as the processor does it fastest."""
    dtype, rows = autocast_dtype(), x.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        v: Tensor = unet(rows, timestep, context).sample
    return v.float()


class Look:
    """What the student draws at a checkpoint, and how far its first step leads from the teacher's end."""

    @torch.no_grad()
    def __init__(self, teacher: UNet2DConditionModel, name: str, scale: float) -> None:
        """Let the teacher draw the first prompts.

        Args:
            teacher: frozen.
            name: of the picture.
            scale: of the teacher's guidance.
        """
        self._name, self._abars = name, scheduler().alphas_cumprod
        self._context, shape = Texts()(GRID[:LOOKED_AT]), (LOOKED_AT, 8, 16, 16)
        self._noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        pipe = _quiet(teacher)
        self._ends: Tensor = pipe(
            GRID[:LOOKED_AT],
            num_inference_steps=TEACHER_STEPS,
            guidance_scale=scale,
            latents=self._noise,
            output_type="latent",
        ).images

    @torch.no_grad()
    def __call__(self, averaged: nn.Module, update: int) -> None:
        """Draw and print."""
        first = torch.full((LOOKED_AT,), len(self._abars) - 1)
        v = _answer(averaged, self._noise, first, self._context)
        ends = consistency.consistent(self._noise, v, first, self._abars)
        error = (ends - self._ends).square().mean().sqrt() / self._ends.std()
        print(f"{update}: one step ends {error:.3f} from the teacher's end", flush=True)
        pipe = _quiet(averaged)
        pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
        rng = torch.Generator().manual_seed(0)
        pictures = pipe(
            GRID, num_inference_steps=FEW_STEPS, guidance_scale=1.0, generator=rng, output_type="np"
        ).images
        rows = [np.concatenate(list(pictures[at : at + 8]), axis=1) for at in range(0, len(pictures), 8)]
        sheet = Image.fromarray((np.concatenate(rows) * 255).round().astype("uint8"))
        sheet.save(work_folder() / f"{self._name}.png")


def _quiet(unet: nn.Module) -> StableDiffusionPipeline:
    pipe = pipeline(unet)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument(
        "--scale", type=float, default=SCALE, help="of the teacher's classifier-free guidance"
    )
    parser.add_argument("--trial", help="export nothing, and keep the checkpoint under this name")
    options = parser.parse_args()
    join()
    torch.manual_seed(0)
    name, teacher, student = options.trial or NAME, load_unet(), load_unet()
    adapt(student, RANK, [])
    look = Look(teacher, name, options.scale)
    compiled, compiled_teacher = (cast("nn.Module", torch.compile(unet)) for unet in (student, teacher))
    losses = Distillation(compiled, compiled_teacher, lessons(), options.scale)
    plan = Plan(steps=options.steps, lr=options.lr, warmup_steps=20, ema_decay=0.99)
    averaged = train(name, student, losses.at, plan, work_folder(), on_checkpoint=look)
    if not options.trial:
        about = About("Few steps for pocket", "", "Apache-2.0")
        export(cast("UNet2DConditionModel", averaged), models_folder() / "adapters" / NAME, about)


if __name__ == "__main__":
    main()
