"""Train one of the pocket CLIPs with OpenCLIP's own model code.

``python -m training.clip pocket-s`` (or ``pocket-m``, ``pocket-eval``) resumes where it stopped; the result goes to
``models/<name>`` in the layout that ``open_clip.create_model("local-dir:...")`` reads.
"""

import argparse
import json
import shutil
from dataclasses import dataclass
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTokenizer

from training import glyphs
from training.captions import caption, compose, random_colour
from training.loop import Plan, train
from training.settings import autocast_dtype, models_folder, work_folder
from training.tokenizer import CONTEXT_LENGTH, VOCABULARY_SIZE

TRAINED_LENGTH = 16  # no caption is longer; the remaining positions repeat the last one
PAIRS = 192
EMBED_DIM = 192


@dataclass(frozen=True)
class Tower:
    """One member of the family. Different patches, widths and seeds keep their mistakes apart."""

    image_px: int
    patch_px: int
    width: int
    layers: int
    seed: int
    wide_share: float  # of the pairs that come from outside the diffusion model's vocabulary


TOWERS = {
    "pocket-s": Tower(image_px=64, patch_px=16, width=192, layers=6, seed=1, wide_share=0.25),
    "pocket-m": Tower(image_px=48, patch_px=8, width=192, layers=6, seed=2, wide_share=0.25),
    "pocket-eval": Tower(image_px=56, patch_px=8, width=160, layers=6, seed=3, wide_share=0.35),
}


def config(tower: Tower, context_length: int) -> dict[str, Any]:
    """OpenCLIP's ``model_cfg``."""
    return {
        "embed_dim": EMBED_DIM,
        "vision_cfg": {
            "image_size": tower.image_px,
            "patch_size": tower.patch_px,
            "width": tower.width,
            "layers": tower.layers,
            "head_width": 32,
        },
        "text_cfg": {
            "context_length": context_length,
            "vocab_size": VOCABULARY_SIZE,
            "width": tower.width,
            "heads": tower.width // 32,
            "layers": 3,
            "hf_tokenizer_name": "tokenizer",
        },
    }


class Pairs:
    """Batches of pictures and captions in which no caption describes another's picture."""

    def __init__(self, tower: Tower) -> None:
        self._pictures, self._glyphs = glyphs.load(work_folder())
        self._seed = tower.seed
        self._wide_share = tower.wide_share
        self._by_name: dict[str, list[int]] = {}
        for index, glyph in enumerate(self._glyphs):
            if not glyphs.is_held_out(glyph.name):
                self._by_name.setdefault(glyph.name, []).append(index)
        narrow = set(glyphs.vocabulary())
        self._narrow = [name for name in self._by_name if name in narrow]
        self._wide = [name for name in self._by_name if name not in narrow]
        self._tokenizer = CLIPTokenizer.from_pretrained(models_folder() / "pocket" / "tokenizer")

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Pictures [192, 3, 64, 64] and token ids [192, 16] of ``step``.

        Even steps hold 192 different names. Odd ones hold 64 names in three compositions each, always fully
        described, so that styles and backgrounds have to be told apart too.
        """
        rng = np.random.default_rng((self._seed, step))
        repeats = 1 if step % 2 == 0 else 3
        wide = round(PAIRS // repeats * self._wide_share)
        names = [
            *rng.choice(self._narrow, PAIRS // repeats - wide, replace=False),
            *rng.choice(self._wide, wide, replace=False),
        ]
        pictures, captions = [], []
        for name in names * repeats:
            index = int(rng.choice(self._by_name[str(name)]))
            colour = random_colour(rng)
            pictures.append(compose(self._pictures[index], colour, rng))
            drop = 0.4 if repeats == 1 else 0.0
            captions.append(caption(self._glyphs[index], colour, rng, drop=drop))
        return torch.from_numpy(np.stack(pictures)), tokenize(self._tokenizer, captions, TRAINED_LENGTH)


def tokenize(tokenizer: CLIPTokenizer, captions: list[str], length: int) -> Tensor:
    """Token ids [B, length], padded with the end token."""
    batch = tokenizer(captions, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    ids: Tensor = batch["input_ids"]
    return ids


def augment(picture: Tensor, rng: torch.Generator) -> Tensor:
    """Small rotations, shifts, scalings, colour changes, blur and noise, different for each picture.

    A guidance CLIP embeds unfinished pictures through randomly moved cutouts, so training must show it such pictures.

    Args:
        picture: [B, 3, H, W] in [-1, 1].
        rng: the source of all randomness.
    """
    count = picture.shape[0]
    u = torch.rand(count, 8, generator=rng) * 2 - 1
    angle, scale = u[:, 0] * 0.17, 1 + 0.15 * u[:, 1]
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [torch.stack([cos, -sin, 0.1 * u[:, 2]], -1), torch.stack([sin, cos, 0.1 * u[:, 3]], -1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(picture.shape), align_corners=False)
    moved = F.grid_sample(picture, grid, padding_mode="border", align_corners=False)
    contrast, brightness, noise = 1 + 0.1 * u[:, 4], 0.1 * u[:, 5], 0.15 * u[:, 6].clamp(min=0)
    moved = moved * contrast.view(-1, 1, 1, 1) + brightness.view(-1, 1, 1, 1)
    blurred = F.interpolate(F.avg_pool2d(moved, 2), scale_factor=2.0, mode="bilinear")
    moved = torch.where((u[:, 7] > 0.6).view(-1, 1, 1, 1), blurred, moved)
    return moved + noise.view(-1, 1, 1, 1) * torch.randn(moved.shape, generator=rng)


def contrastive_loss(image: Tensor, text: Tensor, logit_scale: Tensor) -> Tensor:
    """Symmetric InfoNCE (Radford 2021) of unit embeddings [B, D]."""
    logits = logit_scale * image @ text.T
    targets = torch.arange(len(logits))
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def main() -> None:
    """Train one tower and export it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=list(TOWERS))
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    tower = TOWERS[options.name]
    torch.set_num_threads(options.threads)
    torch.manual_seed(tower.seed)
    model = CLIP(**config(tower, TRAINED_LENGTH))
    pairs = Pairs(tower)
    dtype = autocast_dtype()

    def losses(step: int) -> dict[str, Tensor]:
        picture, tokens = pairs.at(step)
        picture = augment(picture, torch.Generator().manual_seed(tower.seed * 1_000_003 + step))
        picture = F.interpolate(picture, tower.image_px, mode="bilinear", antialias=True)
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            image, text = (
                model.encode_image(picture, normalize=True),
                model.encode_text(tokens, normalize=True),
            )
        scale = model.logit_scale.exp().clamp(max=100)
        return {"contrastive": contrastive_loss(image.float(), text.float(), scale)}

    plan = Plan(steps=options.steps, lr=1.2e-3, weight_decay=0.1, ema_decay=0.995)
    averaged = train(options.name, model, losses, plan, work_folder())
    assert isinstance(averaged, CLIP)
    export(options.name, averaged)


def export(name: str, averaged: CLIP) -> None:
    """Write ``models/<name>``: config, fp16 safetensors and the tokenizer."""
    tower = TOWERS[name]
    folder = models_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        key: value.half().contiguous() for key, value in averaged.state_dict().items() if key != "attn_mask"
    }
    positions = state["positional_embedding"]
    rest = positions[-1:].expand(CONTEXT_LENGTH - TRAINED_LENGTH, -1)
    state["positional_embedding"] = torch.cat([positions, rest])
    save_file(state, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    whole = {"model_cfg": config(tower, CONTEXT_LENGTH), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(whole, indent=2) + "\n")
    for file in (models_folder() / "pocket" / "tokenizer").iterdir():
        shutil.copy(file, folder / file.name)
    open_clip.create_model(f"local-dir:{folder}")


if __name__ == "__main__":
    main()
