"""Train the pocket UNet2DConditionModel on cached latents, and export the whole diffusers folder.

``torchrun --nproc-per-node 2 -m training.unet`` (or ``python -m training.unet`` on one core) resumes where it stopped.
After each checkpoint a fixed grid of prompts is drawn to ``unet.png`` in the work folder.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from training import glyphs
from training.captions import COLOURS, caption, compose
from training.clip import TOWERS, tokenize
from training.diffusion import diffuse, scheduler
from training.loop import Plan, join, rank, train, wait_for_all
from training.settings import models_folder, work_folder
from training.tokenizer import CONTEXT_LENGTH
from training.vae import LATENT_CHANNELS

BATCH = 64
EMPTY_SHARE = 0.1
WHITE_VARIANTS = 4
# The text does not tell where a glyph lies, so while a picture is mostly noise its best estimate is a blur as wide as
# the shifts.
MAX_SHIFT_PX = 1
GRID = [
    f"{style}{name}{background}"
    for name, background in (
        ("red apple", " on a light blue background"),
        ("fox", ""),
        ("rocket", " on a dark blue background"),
        ("teapot", " on a pink background"),
        ("castle", ""),
        ("sunflower", " on a green background"),
        ("robot", " on a yellow background"),
        ("hamburger", ""),
    )
    for style in ("noto ", "twemoji ", "fluent ", "flat ")
]


def build() -> UNet2DConditionModel:
    """A fresh denoiser for latents of 8 x 16 x 16, attending to the text at 8 x 8 and in the middle."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 128, 256),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        encoder_hid_dim=TOWERS["pocket-s"].width,
        encoder_hid_dim_type="text_proj",
        cross_attention_dim=TOWERS["pocket-s"].width,
        attention_head_dim=(2, 4, 8),  # diffusers' name for the number of heads
        # The text also steers every residual block, by scale and shift: with attention alone, shapes came far later.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        time_embedding_dim=384,
        resnet_time_scale_shift="scale_shift",
        norm_num_groups=16,
    )


@torch.no_grad()
def whiten_text(model: UNet2DConditionModel, hidden: Tensor) -> None:
    """Let the two linear layers that read the text start as whitening transforms of it.

    A text tower that was trained by contrast puts nine tenths of its variance into a dozen of its dimensions, and what
    tells one thing from another is in the rest: unwhitened, the denoiser came little further than a linear map would.

    Args:
        model: fresh, with ``addition_embed_type="text"`` and ``encoder_hid_dim_type="text_proj"``.
        hidden: states of many captions, [N, T, D].
    """
    _start_as_whitening(model.encoder_hid_proj, hidden[:, 1:].flatten(0, 1))
    embedding = model.add_embedding
    _start_as_whitening(embedding.pool.v_proj, embedding.norm1(hidden).mean(dim=1))
    embedding.norm2.weight.fill_(2.0)  # far enough along SiLU to be bent by it


def _start_as_whitening(layer: nn.Linear, inputs: Tensor) -> None:
    """ZCA, with directions of less than 1e-4 of the greatest variance damped. ``inputs``: [N, D]."""
    mean = inputs.mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov((inputs - mean).T))
    layer.weight.copy_(vectors @ torch.diag((values + 1e-4 * values[-1]).rsqrt()) @ vectors.T)
    layer.bias.copy_(-layer.weight @ mean)


class Latents:
    """The vocabulary's pictures as latents: each glyph on every background, four times on white."""

    def __init__(self, seed: int, names: list[str]) -> None:
        """Encode the whole vocabulary once; ``at`` then draws from ``names`` alone."""
        self._seed = seed
        self._pictures, self._glyphs = glyphs.load(work_folder())
        narrow = set(glyphs.vocabulary())
        self.rows = [
            (index, colour)
            for index, glyph in enumerate(self._glyphs)
            if glyph.name in narrow and not glyphs.is_held_out(glyph.name)
            for colour in ["white"] * WHITE_VARIANTS + list(COLOURS)[1:]
        ]
        path = work_folder() / "latents.npy"
        if not path.exists() and rank() == 0:
            np.save(path, self._encode())
        wait_for_all()
        self.latents = np.load(path, mmap_mode="r")
        wanted = set(names)
        self._learned = np.array(
            [row for row, (index, _) in enumerate(self.rows) if self._glyphs[index].name in wanted]
        )

    @torch.no_grad()
    def _encode(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
        vae = AutoencoderKL.from_pretrained(models_folder() / "pocket" / "vae").float().eval()
        rng = np.random.default_rng(0)
        latents = []
        for start in range(0, len(self.rows), 64):
            rows = self.rows[start : start + 64]
            pictures = [compose(self._pictures[index], colour, rng, MAX_SHIFT_PX) for index, colour in rows]
            encoded = vae.encode(torch.from_numpy(np.stack(pictures))).latent_dist.mode()
            latents.append(encoded.numpy().astype(np.float16))
        return np.concatenate(latents)

    def at(self, step: int) -> tuple[Tensor, list[str]]:
        """Latents [64, 8, 16, 16] and captions of ``step``; one caption in ten is empty."""
        rng = np.random.default_rng((self._seed, step))
        chosen = rng.choice(self._learned, size=BATCH)
        captions = [
            "" if rng.random() < EMPTY_SHARE else caption(self._glyphs[index], colour, rng, drop=0.1)
            for index, colour in (self.rows[int(row)] for row in chosen)
        ]
        return torch.from_numpy(self.latents[chosen].astype(np.float32)), captions


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--names", type=Path, default=glyphs.CORE, help="learn only the names in this file")
    options = parser.parse_args()
    join()
    torch.manual_seed(0)
    model = build().to(memory_format=torch.channels_last)
    data = Latents(seed=100 + rank(), names=glyphs.vocabulary(options.names))
    tokenizer = CLIPTokenizer.from_pretrained(models_folder() / "pocket" / "tokenizer")
    text = CLIPTextModel.from_pretrained(models_folder() / "pocket" / "text_encoder").float().eval()
    abars = scheduler().alphas_cumprod
    many = [words for step in range(2048 // BATCH) for words in data.at(step)[1]]
    with torch.no_grad():
        whiten_text(model, text(tokenize(tokenizer, many, CONTEXT_LENGTH)).last_hidden_state)
    compiled = cast("nn.Module", torch.compile(model))

    def losses(step: int) -> dict[str, Tensor]:
        x0, captions = data.at(step)
        rng = torch.Generator().manual_seed((100 + rank()) * 1_000_003 + step)
        with torch.no_grad():
            context = text(tokenize(tokenizer, captions, CONTEXT_LENGTH)).last_hidden_state
        x_t, timestep, v = diffuse(x0, abars, rng)
        predicted = compiled(x_t.contiguous(memory_format=torch.channels_last), timestep, context).sample
        # Every noise level counts alike. Min-SNR weights all but ignore the noisiest, where a picture has its
        # shape decided by the text alone.
        return {"v": F.mse_loss(predicted, v)}

    plan = Plan(steps=options.steps, lr=options.lr, ema_decay=0.998, weight_decay=0.1)
    averaged = train("unet", model, losses, plan, work_folder(), on_checkpoint=draw_grid)
    if rank() == 0:
        export(averaged)


def pipeline(unet: nn.Module) -> StableDiffusionPipeline:
    """The whole model around a UNet."""
    folder = models_folder() / "pocket"
    return StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(folder / "vae").float(),
        text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder").float(),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=unet,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def draw_grid(unet: nn.Module, step: int, prompts: Sequence[str] = GRID, name: str = "unet") -> None:
    """Draw prompts, eight in a row, to ``NAME.png`` in the work folder, for a person to look at."""
    pipe = pipeline(unet)
    pipe.set_progress_bar_config(disable=True)
    rng = torch.Generator().manual_seed(0)
    pictures = pipe(
        list(prompts), num_inference_steps=20, guidance_scale=3.0, generator=rng, output_type="np"
    ).images
    rows = [np.concatenate(list(pictures[start : start + 8]), axis=1) for start in range(0, len(pictures), 8)]
    grid = Image.fromarray((np.concatenate(rows) * 255).round().astype("uint8"))
    grid = grid.resize((grid.width * 2, grid.height * 2), Image.Resampling.BICUBIC)
    for path in (work_folder() / f"{name}.png", work_folder() / f"{name}-{step:06d}.png"):
        grid.save(path)


def export(unet: nn.Module) -> None:
    """Write ``models/pocket`` in fp16, as ``StableDiffusionPipeline.from_pretrained`` reads it."""
    folder: Path = models_folder() / "pocket"
    pipeline(unet).to(torch.float16).save_pretrained(folder, safe_serialization=True)
    for file in (*folder.glob("*/config.json"), folder / "model_index.json"):
        config = json.loads(file.read_text())
        config.pop("_name_or_path", None)  # a path of the machine that trained it
        file.write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
