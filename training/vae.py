"""Train the pocket AutoencoderKL: 64 px pictures to latents of 8 x 16 x 16 and back.

``torchrun --nproc-per-node 2 -m training.vae both`` (or ``python -m training.vae both`` on one core) trains encoder
and decoder; the same with ``decoder`` then goes on with the decoder alone, while the denoiser can already learn the
latents, which no longer change. Each resumes where it stopped and writes ``models/pocket/vae``.
"""

import argparse

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

from training import glyphs
from training.captions import COLOURS, compose
from training.loop import Plan, join, rank, train
from training.settings import models_folder, work_folder

CHANNELS = (24, 48, 96)
LATENT_CHANNELS = 8
BATCH = 16
KL_WEIGHT = 2e-4


def build() -> AutoencoderKL:
    """A fresh autoencoder with a spatial factor of 4."""
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
    """L1 and squared error of the pictures, L1 of their gradients (edges) and of their 4x pooled versions (colours)."""
    edges = sum(F.l1_loss(decoded.diff(dim=dim), picture.diff(dim=dim), reduction="mean") for dim in (-1, -2))
    pooled = F.l1_loss(F.avg_pool2d(decoded, 4), F.avg_pool2d(picture, 4))
    return F.l1_loss(decoded, picture) + 2 * F.mse_loss(decoded, picture) + 0.5 * edges + 0.5 * pooled


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
    """Train both halves, or the decoder alone behind a frozen encoder, and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=["both", "decoder"])
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    join()
    torch.manual_seed(0)
    batches = Batches(seed=rank())
    model = build() if options.stage == "both" else _frozen_encoder(batches)
    # The denoiser learns the latents of this encoder from now on, while the decoder behind it improves.
    if rank() == 0:
        model.save_pretrained(models_folder() / "pocket" / "vae")
    model.to(memory_format=torch.channels_last)

    def forward(picture: Tensor) -> tuple[Tensor, Tensor]:
        posterior = model.encode(picture).latent_dist
        decoded = model.decode(posterior.sample()).sample
        return decoded, posterior.kl().sum() / posterior.mean.numel()

    compiled = torch.compile(forward)

    def losses(step: int) -> dict[str, Tensor]:
        picture = batches.at(step)
        decoded, kl = compiled(picture)
        terms = {"reconstruction": reconstruction_loss(decoded, picture)}
        return terms | {"kl": KL_WEIGHT * kl} if options.stage == "both" else terms

    name = "vae" if options.stage == "both" else "decoder"
    averaged = train(name, model, losses, Plan(steps=options.steps, lr=1e-3, ema_decay=0.995), work_folder())
    if rank() != 0:
        return
    assert isinstance(averaged, AutoencoderKL)
    if options.stage == "both":
        whiten(averaged, batches)
    averaged.half().save_pretrained(models_folder() / "pocket" / "vae")


def _frozen_encoder(batches: Batches) -> AutoencoderKL:
    """The averaged result of the first stage, whitened, of which only the decoder goes on learning."""
    model = build()
    state = torch.load(work_folder() / "vae.pt", weights_only=True)
    model.load_state_dict(state["averaged"])
    whiten(model, batches)
    model.encoder.requires_grad_(False)
    model.quant_conv.requires_grad_(False)
    return model


@torch.no_grad()
def whiten(model: AutoencoderKL, batches: Batches) -> None:
    """Give every latent channel zero mean and unit variance, in place, without changing a reconstruction.

    Diffusion treats all channels alike, so a channel of small variance would drown in noise first. The affine map goes
    into the 1x1 convolutions on both sides of the latents, and the scaling factor becomes 1.
    """
    latents = torch.cat([model.encode(batches.at(-1 - n)).latent_dist.mode() for n in range(48)])
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    count = LATENT_CHANNELS
    encoded, decoded = model.quant_conv, model.post_quant_conv
    decoded.bias += decoded.weight[:, :, 0, 0] @ mean
    decoded.weight *= std.view(1, -1, 1, 1)
    encoded.weight[:count] /= std.view(-1, 1, 1, 1)
    encoded.bias[:count] = (encoded.bias[:count] - mean) / std
    encoded.bias[count:] -= 2 * std.log()
    model.register_to_config(scaling_factor=1.0)
    print(f"latent channels had standard deviations from {std.min():.2f} to {std.max():.2f}")


if __name__ == "__main__":
    main()
