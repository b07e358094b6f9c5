"""Train pocket-pixels, a diffusion model of pixels that knows no text: ``python -m training.pixels.learn``.

It resumes where it stopped and writes ``models/pocket-pixels``. Nothing but drawings of one style on coloured
backgrounds is shown to it. What a picture shows, CLIP alone decides (``worker/models/families/pixels.py``).
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.utils import save_image

from training import glyphs
from training.captions import COLOURS
from training.loop import Plan, join, train
from training.settings import COMPILED_FROM, autocast_dtype, models_folder, work_folder

NAME = "pocket-pixels"
STYLE = "noto"
FACTOR = (
    2  # pixels a side of the squares that are channels: a quarter of the places, so a quarter of the time
)
BATCH = 64
SEED = 21
TIMES = 1000
WHITE_SHARE = 0.25
# What a thing is, is decided while this much noise is left; above nothing is to be learned but colours, and below
# nothing but texture.
DECISIVE, DECISIVE_SHARE = (0.25, 0.78), 0.7
LOOKED_AT = 48


def build() -> UNet2DModel:
    """A fresh network: 12 channels of 32 x 32 places, attention at 8 x 8 and in the middle."""
    network = UNet2DModel(
        sample_size=glyphs.PICTURE_PX // FACTOR,
        in_channels=3 * FACTOR**2,
        out_channels=3 * FACTOR**2,
        block_out_channels=(64, 128, 192),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        attention_head_dim=32,
        norm_num_groups=16,
        attn_norm_num_groups=16,
        resnet_time_scale_shift="scale_shift",
    )
    nn.init.zeros_(network.conv_out.weight)
    nn.init.zeros_(cast("Tensor", network.conv_out.bias))
    return network


def shipped() -> UNet2DModel:
    """The network in ``models``, in full precision."""
    return cast(
        "UNet2DModel", UNet2DModel.from_pretrained(models_folder() / NAME / "unet", torch_dtype=torch.float32)
    )


def scheduler() -> DDPMScheduler:
    """Ho's linear schedule, as in Crowson's notebooks, with v-prediction."""
    return DDPMScheduler(
        beta_schedule="linear",
        beta_start=1e-4,
        beta_end=0.02,
        prediction_type="v_prediction",
        clip_sample=False,
        timestep_spacing="trailing",
    )


class Drawings:
    """Drawings of one style of the names that are learned, on every background."""

    def __init__(self) -> None:
        """Load them."""
        rgba, rows = glyphs.load(work_folder())
        wanted = set(glyphs.learned())
        chosen = [i for i, glyph in enumerate(rows) if glyph.style == STYLE and glyph.name in wanted]
        self._rgba = torch.from_numpy(rgba[chosen]).permute(0, 3, 1, 2).float() / 255
        self._colours = torch.tensor(list(COLOURS.values())).float() / 255

    def at(self, step: int) -> Tensor:
        """Pictures [B, 3, 64, 64] in [-1, 1] of ``step``."""
        rng = np.random.default_rng((SEED, step))
        rgba = self._rgba[rng.integers(len(self._rgba), size=BATCH)]
        others = rng.integers(1, len(self._colours), size=BATCH)
        number = torch.from_numpy(np.where(rng.random(BATCH) < WHITE_SHARE, 0, others))
        alpha = rgba[:, 3:]
        return 2 * (rgba[:, :3] * alpha + self._colours[number][..., None, None] * (1 - alpha)) - 1


def times(step: int) -> Tensor:
    """Timesteps [B]: most of them where a thing is decided, the others anywhere; spread evenly in both."""
    rng = torch.Generator().manual_seed(SEED * 1_000_003 + step)
    decisive = round(BATCH * DECISIVE_SHARE)
    low, high = DECISIVE
    levels = [
        low + (high - low) * (torch.arange(decisive) + torch.rand(decisive, generator=rng)) / decisive,
        (torch.arange(BATCH - decisive) + torch.rand(BATCH - decisive, generator=rng)) / (BATCH - decisive),
    ]
    return (torch.cat(levels) * TIMES).long().clamp(max=TIMES - 1)


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument(
        "--after", type=int, default=0, help="go on from the weights in models, which saw so many steps"
    )
    options = parser.parse_args()
    join()
    torch.manual_seed(SEED)
    model = (shipped() if options.after else build()).to(memory_format=torch.channels_last)
    compiled = cast("nn.Module", torch.compile(model)) if options.steps >= COMPILED_FROM else model
    drawings, abars, dtype = Drawings(), scheduler().alphas_cumprod, autocast_dtype()

    def losses(step: int) -> dict[str, Tensor]:
        step += options.after
        x0 = F.pixel_unshuffle(drawings.at(step), FACTOR)
        timestep = times(step)
        abar = abars[timestep].view(-1, 1, 1, 1)
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(SEED + step))
        x_t = abar.sqrt() * x0 + (1 - abar).sqrt() * noise
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            predicted = compiled(x_t.contiguous(memory_format=torch.channels_last), timestep).sample
        return {"v": F.mse_loss(predicted.float(), abar.sqrt() * noise - (1 - abar).sqrt() * x0)}

    plan = Plan(steps=options.steps, lr=options.lr, ema_decay=0.998, weight_decay=0.1)
    averaged = train(NAME, model, losses, plan, work_folder(), on_checkpoint=look)
    export(cast("UNet2DModel", averaged), models_folder() / NAME)


@torch.no_grad()
def look(network: nn.Module, step: int) -> None:
    """Draw pictures without guidance to ``pocket-pixels.png`` in the work folder, for a person to look at."""
    solver = DDIMScheduler.from_config(scheduler().config)
    solver.set_timesteps(50)
    shape = LOOKED_AT, 3 * FACTOR**2, *[glyphs.PICTURE_PX // FACTOR] * 2
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for timestep in solver.timesteps:
        x = solver.step(network(x, timestep).sample, timestep, x).prev_sample
    pictures = (F.pixel_shuffle(x, FACTOR) / 2 + 0.5).clamp(0, 1)
    save_image(pictures, work_folder() / f"{NAME}-{step:06d}.png", nrow=12)


def export(network: UNet2DModel, folder: Path) -> None:
    """Write a diffusers folder in fp16."""
    DDPMPipeline(network, scheduler()).to(torch.float16).save_pretrained(folder, safe_serialization=True)
    for file in _configs(folder):
        config = json.loads(file.read_text())
        config.pop("_name_or_path", None)  # a path of the machine that trained it
        file.write_text(json.dumps(config, indent=2) + "\n")


def _configs(folder: Path) -> Sequence[Path]:
    return [folder / "unet" / "config.json", folder / "model_index.json"]


if __name__ == "__main__":
    main()
