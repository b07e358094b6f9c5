"""What a checkpoint of guided diffusion is, read from the names and shapes of its tensors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from jobs.errors import ModelUnavailableError
from worker.models.families.time_width import TIME_WIDTH

_CLASSES = "label_emb.weight"
_ALWAYS = ("time_embed.0.weight", "input_blocks.0.0.weight", "out.2.weight", "middle_block.1.qkv.weight")
GROUPS, EPSILON = 32, 1e-5  # of every group norm of that network


@dataclass(frozen=True)
class Layout:
    """What is read from the names and shapes of a checkpoint.

    Attributes:
        widths: channels of each level, the finest first.
        layers: residual blocks of a level on the way down.
        attends: whether each level has attention.
        resamples_by_blocks: whether residual blocks change the resolution, and not single convolutions.
        channels: taken and given.
        time_width: of the sinusoids.
        scales: whether the time scales and shifts, and is not merely added.
    """

    widths: tuple[int, ...]
    layers: int
    attends: tuple[bool, ...]
    resamples_by_blocks: bool
    channels: tuple[int, int]
    time_width: int
    scales: bool


def layout_of(tensors: Mapping[str, Tensor]) -> Layout:
    """Read the layout of a checkpoint.

    Raises:
        ModelUnavailableError: it is none of this network, or of a variant that is told a class.
    """
    if _CLASSES in tensors:
        raise ModelUnavailableError("the checkpoint is told a class; only unconditional ones are served")
    for key in _ALWAYS:
        _at(tensors, key)
    outputs = _count(tensors, "output_blocks")
    layers = _first_growing(tensors, outputs)
    levels = outputs // (layers + 1)
    if levels * (layers + 1) != outputs or _count(tensors, "input_blocks") != outputs:
        raise ModelUnavailableError("the checkpoint's levels do not all have as many blocks")
    firsts = [1 + level * (layers + 1) for level in range(levels)]
    return Layout(
        widths=tuple(len(_at(tensors, f"input_blocks.{first}.0.out_layers.3.weight")) for first in firsts),
        layers=layers,
        attends=tuple(f"input_blocks.{first}.1.qkv.weight" in tensors for first in firsts),
        resamples_by_blocks=not any(".op." in key for key in tensors),
        channels=(tensors["input_blocks.0.0.weight"].shape[1], len(tensors["out.2.weight"])),
        time_width=tensors["time_embed.0.weight"].shape[1],
        scales=len(_at(tensors, "input_blocks.1.0.emb_layers.1.weight"))
        == 2 * len(_at(tensors, "input_blocks.1.0.out_layers.3.weight")),
    )


def config_of(layout: Layout, px: int, head_width: int) -> dict[str, Any]:
    """The configuration of diffusers' ``UNet2DModel``.

    Args:
        layout: of the checkpoint.
        px: width and height of the pictures that it was trained on.
        head_width: channels of an attention's head.
    """
    down, up = (
        ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D")
        if layout.resamples_by_blocks
        else (
            "DownBlock2D",
            "UpBlock2D",
        )
    )
    resampling = "resnet" if layout.resamples_by_blocks else "conv"
    config: dict[str, Any] = {
        "_class_name": "UNet2DModel",
        "sample_size": px,
        "in_channels": layout.channels[0],
        "out_channels": layout.channels[1],
        "block_out_channels": list(layout.widths),
        "layers_per_block": layout.layers,
        "down_block_types": ["AttnDownBlock2D" if attends else down for attends in layout.attends],
        "up_block_types": ["AttnUpBlock2D" if attends else up for attends in reversed(layout.attends)],
        "downsample_type": resampling,
        "upsample_type": resampling,
        "attention_head_dim": head_width,
        "norm_num_groups": GROUPS,
        "attn_norm_num_groups": GROUPS,
        "norm_eps": EPSILON,
        "resnet_time_scale_shift": "scale_shift" if layout.scales else "default",
        # Cosines before sines, of the frequencies 10000^(-k / K).
        "flip_sin_to_cos": True,
        "freq_shift": 0,
    }
    if layout.time_width != layout.widths[0]:
        config[TIME_WIDTH] = layout.time_width
    return config


def _count(tensors: Mapping[str, Tensor], blocks: str) -> int:
    numbers = {int(found[1]) for key in tensors if (found := re.match(rf"{blocks}\.(\d+)\.", key))}
    if numbers != set(range(len(numbers))):
        missing = min(set(range(max(numbers) + 1)) - numbers)
        raise ModelUnavailableError(
            f"the checkpoint has no {blocks}.{missing}: a network that changes the resolution without any weight is "
            "not served"
        )
    return len(numbers)


def _first_growing(tensors: Mapping[str, Tensor], outputs: int) -> int:
    """Residual blocks of a level on the way down, from the first block on the way up that makes pictures larger."""
    for block in range(outputs):
        for place in (1, 2):
            old = f"output_blocks.{block}.{place}"
            if f"{old}.conv.weight" in tensors or f"{old}.in_layers.0.weight" in tensors:
                return block
    return outputs - 1


def _at(tensors: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in tensors:
        raise ModelUnavailableError(f"the checkpoint has no {key}, as those of guided diffusion do")
    return tensors[key]
