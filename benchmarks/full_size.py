"""Guided steps at full size, with random weights: SD 1.5's UNet and VAE at 512 px, and ViT-H-14.

``python -m benchmarks.full_size [--quick] [--json FILE] [--steps N] [--clip NAME] [--dtype NAME] [--rows N ...]
[--pipeline FILE]``. Proves that the real shapes run, and measures time and peak memory of a step; a CPU is enough, with
10 GB of memory (20 in fp32) and patience: minutes with AMX, more than an hour where bf16 is emulated, for which there
are ``--dtype fp32`` and ``--rows``. Gradients of random networks say nothing, but cost as much as any. ``--quick``
shrinks all.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.guidance_speed import table_of
from benchmarks.methods.models import Shapes
from benchmarks.methods.stepping import Method, measure_all
from benchmarks.places import MODELS

FULL = Shapes(
    unet={
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    vae={
        "sample_size": 512,
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
    },
    text={"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12},
    clip="ViT-H-14",
    px=512,
    dtype="bf16",
)
SMALL = replace(
    FULL,
    unet=FULL.unet | {"block_out_channels": (32, 32, 64, 64), "layers_per_block": 1},
    vae=FULL.vae | {"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1, "norm_num_groups": 8},
    text=FULL.text | {"num_hidden_layers": 1},
    clip=str(MODELS / "pocket-m"),
    px=128,
)


def methods(pipeline: Path | None) -> list[Method]:
    """The rows of the table; that of the community pipeline, if there is one, is the last."""
    four: dict[str, Any] = {"preset": "laion", "cutouts": 4}
    community = [Method("community pipeline, 4 cutouts", pipeline=pipeline, checkpointed=False)]
    return [
        Method("unguided"),
        Method("noisy, 4 cutouts", {"preset": "diffusers"}, checkpointed=False),
        Method("denoised, 4 cutouts", four, checkpointed=False),
        Method("denoised, 4 cutouts, checkpointed", four, checkpointed=True),
        Method("denoised, 4 cutouts, linear decoder", four | {"decoder": "linear"}),
        Method("denoised, 48 cutouts, checkpointed", {"preset": "laion"}, checkpointed=True),
        *(community if pipeline else []),
    ]


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small networks, one step")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument(
        "--steps", type=int, default=2, help="steps that are timed, after one that is not; 0 times that one"
    )
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default=FULL.dtype, help="of all networks")
    parser.add_argument("--rows", type=int, nargs="+", help="these rows of the table only, counted from 0")
    parser.add_argument("--clip", default=FULL.clip, help="architecture of open_clip")
    parser.add_argument("--pipeline", type=Path, help="the community pipeline's file")
    options = parser.parse_args()
    shapes = SMALL if options.quick else replace(FULL, clip=options.clip, dtype=options.dtype)
    steps = 1 if options.quick else options.steps
    rows = methods(options.pipeline)
    chosen = [rows[number] for number in options.rows] if options.rows else rows
    costs = measure_all(chosen, steps, shapes, json_file=options.json)
    Console(width=max(Console().width, 100)).print(table_of(costs))


if __name__ == "__main__":
    main()
