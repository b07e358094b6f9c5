"""The memory and the time of a VAE's passes against those in bands: ``python -m benchmarks.gpu.vae_memory``.

The factors are bytes in numbers of maps, as ``worker/models/networks/coding.py`` counts them.
With the pocket VAE, and with random weights in the form of Stable Diffusion's. ``--px`` are sides of square pictures.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from diffusers import AutoencoderKL
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.places import MODELS
from worker.models.footprint import peak_memory
from worker.models.networks.banded_vae import decode_in_bands, encode_in_bands
from worker.models.networks.bands import Bands

BAND_BYTES = 32 << 20
STABLE_DIFFUSION = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": 4,
}
COLUMNS = (
    "VAE",
    "way",
    "px",
    "MiB whole",
    "MiB bands",
    "factors",
    "s whole",
    "s bands",
    "largest difference",
)

Run = Callable[[], Tensor]


def ways(vae: Any, px: int, device: torch.device) -> dict[str, tuple[Run, Run]]:
    """Decoding and encoding of a square picture, each in one pass and in bands."""
    side, channels = px // 2 ** (len(vae.config.block_out_channels) - 1), vae.config.latent_channels
    bands = Bands(device, device, BAND_BYTES)
    latents = torch.randn(1, channels, side, side, device=device)
    picture = torch.rand(1, 3, px, px, device=device) * 2 - 1
    return {
        "decode": (lambda: vae.decode(latents).sample, partial(decode_in_bands, vae, latents, bands)),
        "encode": (
            lambda: vae.encode(picture).latent_dist.parameters,
            partial(encode_in_bands, vae, picture, bands),
        ),
    }


def measured(run: Run, device: torch.device) -> tuple[Tensor, int, float]:
    """The answer of a call, the bytes that it takes at most, and its seconds."""
    with peak_memory(device) as peak:
        began = time.monotonic()
        answer = run().cpu()
        seconds = time.monotonic() - began
    return answer, peak(), seconds


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--px", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    device, table = torch.device(asked.device), Table(*COLUMNS)
    for name, vae in {
        "pocket": AutoencoderKL.from_pretrained(MODELS / "pocket" / "vae"),
        "Stable Diffusion's form": AutoencoderKL(**STABLE_DIFFUSION),
    }.items():
        for px in asked.px:
            for way, (whole, banded) in ways(vae.to(device).eval(), px, device).items():
                one, most, seconds = measured(whole, device)
                other, banded_most, longer = measured(banded, device)
                one_map = sum(vae.config.block_out_channels[:2]) * px**2 * 4
                factors = " / ".join(f"{taken / one_map:.2f}" for taken in (most, banded_most))
                memory = (f"{most >> 20}", f"{banded_most >> 20}", factors)
                times = (f"{seconds:.2f}", f"{longer:.2f}", f"{float((one - other).abs().max()):.1e}")
                table.add_row(name, way, str(px), *memory, *times)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
