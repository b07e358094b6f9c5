"""Train the pocket AutoencoderKL: 64 px pictures to latents of 12 x 8 x 8 and back.

``python -m training.vae`` resumes where it stopped; the result goes to ``models/pocket/vae``.
"""

import argparse

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

from training import glyphs
from training.captions import COLOURS, compose
from training.loop import Plan, train
from training.settings import models_folder, work_folder

CHANNELS = (16, 32, 64, 128)
LATENT_CHANNELS = 12
BATCH = 16
KL_WEIGHT = 2e-4


def build() -> AutoencoderKL:
    """A fresh autoencoder with a spatial factor of 8."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(CHANNELS),
        up_block_types=("UpDecoderBlock2D",) * len(CHANNELS),
        block_out_channels=CHANNELS,
        latent_channels=LATENT_CHANNELS,
        layers_per_block=1,
        norm_num_groups=8,
        sample_size=64,
    )


def reconstruction_loss(decoded: Tensor, picture: Tensor) -> Tensor:
    """L1 of the pictures, of their gradients (edges) and of their 4x pooled versions (colours)."""
    edges = sum(
        F.l1_loss(decoded.diff(dim=dim), picture.diff(dim=dim), reduction="mean") for dim in (-1, -2)
    )
    pooled = F.l1_loss(F.avg_pool2d(decoded, 4), F.avg_pool2d(picture, 4))
    return F.l1_loss(decoded, picture) + 0.5 * edges + 0.5 * pooled


class Batches:
    """Random glyphs outside the held-out names on random backgrounds, half of them unnamed colours."""

    def __init__(self, seed: int) -> None:
        pictures, rows = glyphs.load(work_folder())
        keep = [index for index, glyph in enumerate(rows) if not glyphs.is_held_out(glyph.name)]
        self._pictures = pictures[keep]
        self._seed = seed

    def at(self, step: int) -> Tensor:
        """The batch of ``step``: [16, 3, 64, 64] in [-1, 1]; the same for the same seed and step."""
        rng = np.random.default_rng((self._seed, step % 2**32))
        chosen = self._pictures[rng.integers(len(self._pictures), size=BATCH)]
        names = list(COLOURS)
        colours = [names[int(rng.integers(len(names)))] for _ in chosen]
        composed = [compose(rgba, colour, rng) for rgba, colour in zip(chosen, colours, strict=True)]
        return torch.from_numpy(np.stack(composed)).to(memory_format=torch.channels_last)


def main() -> None:
    """Train, set the scaling factor to 1 / std of the latents, and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = build().to(memory_format=torch.channels_last)  # type: ignore[call-arg]
    batches = Batches(seed=0)

    def forward(picture: Tensor) -> tuple[Tensor, Tensor]:
        posterior = model.encode(picture).latent_dist
        decoded = model.decode(posterior.sample()).sample
        return decoded, posterior.kl().sum() / posterior.mean.numel()

    compiled = torch.compile(forward)

    def losses(step: int) -> dict[str, Tensor]:
        picture = batches.at(step)
        decoded, kl = compiled(picture)
        return {"reconstruction": reconstruction_loss(decoded, picture), "kl": KL_WEIGHT * kl}

    plan = Plan(steps=options.steps, lr=1.5e-3, ema_decay=0.998)
    averaged = train("vae", model, losses, plan, work_folder())
    export(averaged, batches)


@torch.no_grad()
def export(averaged: nn.Module, batches: Batches) -> None:
    """Write ``models/pocket/vae`` in fp16 with the scaling factor that gives latents unit variance."""
    assert isinstance(averaged, AutoencoderKL)
    latents = torch.cat([averaged.encode(batches.at(-1 - n)).latent_dist.mode() for n in range(32)])
    averaged.register_to_config(scaling_factor=round(1 / latents.std().item(), 4))
    averaged.half().save_pretrained(models_folder() / "pocket" / "vae")
    print(f"latents: mean {latents.mean():.3f}, std {latents.std():.3f}")


if __name__ == "__main__":
    main()
