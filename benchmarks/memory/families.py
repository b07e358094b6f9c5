"""Memory of the weights of each family at fp16, by the shapes of its published checkpoints; no weights are made.

``python -m benchmarks.memory.families [--json FILE]``. Counts what lies on the device: as it is, with ``offload =
"encoders"``, with ``unet_weights = "int8"``, and with both.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from rich.console import Console
from rich.table import Table
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from benchmarks.full_size import FULL
from benchmarks.loading.xl_shapes import xl
from benchmarks.real_shapes import V2, V2_TEXT
from worker.models.networks.int8 import linear_layers

GIB = 2**30
WIDE, NARROW = 2, 1  # bytes of a number in fp16, and of a linear layer's in int8
REFINER: dict[str, Any] = {
    "block_out_channels": (384, 768, 1536, 1536),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 1280,
    "attention_head_dim": (6, 12, 24, 24),
    "transformer_layers_per_block": 4,
    "projection_class_embeddings_input_dim": 1280 + 5 * 256,
}
VISION = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 16,
    "num_hidden_layers": 32,
    "patch_size": 14,
    "projection_dim": 1024,
}
LABEL = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 2 * 1024}
Networks = dict[str, nn.Module]  # the UNet, what stays on the device beside it, and what can be offloaded


def networks() -> dict[str, Networks]:
    """Those of each kind of checkpoint, without weights."""
    large = xl(FULL, is_full=True)
    assert large.second_text is not None
    first, second = CLIPTextConfig(**FULL.text), CLIPTextConfig(**large.second_text)
    with init_empty_weights():
        vae, text = AutoencoderKL(**FULL.vae), CLIPTextModel(first)
        text_2 = CLIPTextModel(CLIPTextConfig(**V2_TEXT))
        pooled = CLIPTextModelWithProjection(second)
        small = {"text_encoder": text, "vae": vae}
        wide = {"text_encoder": text_2, "vae": vae}
        return {
            "SD 1.5": {"unet": _unet(), **small},
            "SD 1.5, inpainting": {"unet": _unet(in_channels=9), **small},
            "LCM of SD 1.5": {"unet": _unet(time_cond_proj_dim=256), **small},
            "SD 2.1": {"unet": _unet(**V2), **wide},
            "Stable unCLIP 2.1": {
                "unet": _unet(**V2, **LABEL),
                **wide,
                "image_encoder": CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION)),
            },
            "SDXL": {"unet": UNet2DConditionModel(**large.unet), **small, "text_encoder_2": pooled},
            "SDXL's refiner": {
                "unet": UNet2DConditionModel(**{**large.unet, **REFINER}),
                "text_encoder_2": pooled,
                "vae": vae,
            },
        }


def _unet(**fields: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(**{**FULL.unet, **fields})


def sizes(parts: Networks) -> dict[str, float]:
    """GiB on the device by the way that the weights are kept."""
    unet, rest = parts["unet"], [network for name, network in parts.items() if name != "unet"]
    stays = [parts["image_encoder"]] if "image_encoder" in parts else []
    whole, linear = (
        _count([unet]),
        sum(layer.weight.numel() for layer in linear_layers(unet)),
    )
    small = WIDE * (whole - linear) + NARROW * linear
    return {
        name: (own + WIDE * _count(others)) / GIB
        for name, own, others in (
            ("full", WIDE * whole, rest),
            ("offload", WIDE * whole, stays),
            ("int8", small, rest),
            ("int8, offload", small, stays),
        )
    }


def _count(networks: Iterable[nn.Module]) -> int:
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def main() -> None:
    """Count, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    found = {name: sizes(parts) for name, parts in networks().items()}
    table = Table("weights at fp16, GiB", *next(iter(found.values())))
    for name, row in found.items():
        table.add_row(name, *(f"{gib:.2f}" for gib in row.values()))
    Console(width=100).print(table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
