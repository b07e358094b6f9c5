"""Tensors of ControlNets in one file, by the names that diffusers has for them.

The original releases number a UNet's blocks, ``input_blocks.4.0``, with or without the prefix ``control_model.``.
Stability's Control-LoRAs have the same names, ``LAYER.down`` and ``LAYER.up`` for the factors of a layer's change, and
an empty tensor ``lora_controlnet`` as a mark.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

PREFIX, MARK = "control_model.", "lora_controlnet"
_HINT = "input_hint_block"
_KINDS = {"down": "lora_A.weight", "up": "lora_B.weight"}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_FIXED = {
    "input_blocks.0.0": "conv_in",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "middle_block_out.0": "controlnet_mid_block",
    "middle_block.0": "mid_block.resnets.0",
    "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1",
}


def is_original(names: Iterable[str]) -> bool:
    """Whether a file has the names of the original releases."""
    return any(name.removeprefix(PREFIX).startswith(f"{_HINT}.") for name in names)


def named_anew(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file of the original releases by diffusers' names; a name that is not known stays."""
    bare = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if name != MARK}
    places = {**_FIXED, **_blocks(bare), **_hints(bare), **_outlets(bare)}
    return {_renamed(name, places): tensor for name, tensor in bare.items()}


def _renamed(name: str, places: Mapping[str, str]) -> str:
    layer, _, kind = name.rpartition(".")
    parts = layer.split(".")
    for length in range(len(parts), 0, -1):
        place = places.get(".".join(parts[:length]))
        if place is not None:
            rest = ".".join(parts[length:])
            inner = _RESNET.get(rest, rest)
            return ".".join(part for part in (place, inner, _KINDS.get(kind, kind)) if part)
    return name


def _blocks(names: Iterable[str]) -> dict[str, str]:
    """The places of the input blocks; each level but the last ends with one of ``0.op`` alone, which shrinks."""
    names = list(names)
    places, level, layer = {}, 0, 0
    for number in _numbers(names, r"input_blocks\.(\d+)\..+"):
        block = f"input_blocks.{number}"
        if number == 0:
            continue
        if any(name.startswith(f"{block}.0.op.") for name in names):
            places[f"{block}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
            level, layer = level + 1, 0
        else:
            places[f"{block}.0"] = f"down_blocks.{level}.resnets.{layer}"
            places[f"{block}.1"] = f"down_blocks.{level}.attentions.{layer}"
            layer += 1
    return places


def _hints(names: Iterable[str]) -> dict[str, str]:
    """The places of the encoder of maps, between whose convolutions are activations."""
    first, *inner, last = _numbers(names, rf"{_HINT}\.(\d+)\..+") or [0, 0]
    places = {
        f"{_HINT}.{number}": f"controlnet_cond_embedding.blocks.{place}" for place, number in enumerate(inner)
    }
    places[f"{_HINT}.{first}"] = "controlnet_cond_embedding.conv_in"
    places[f"{_HINT}.{last}"] = "controlnet_cond_embedding.conv_out"
    return places


def _outlets(names: Iterable[str]) -> dict[str, str]:
    return {
        f"zero_convs.{number}.0": f"controlnet_down_blocks.{number}"
        for number in _numbers(names, r"zero_convs\.(\d+)\..+")
    }


def _numbers(names: Iterable[str], pattern: str) -> list[int]:
    return sorted({int(found[1]) for name in names if (found := re.fullmatch(pattern, name))})
