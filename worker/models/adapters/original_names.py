"""The names that the layers of a UNet had in the original releases, which Kohya's scripts write for SDXL."""

import re
from collections import Counter
from collections.abc import Iterable

_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
_WHOLE = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_out": "out.2",
}
_MIDDLE = {
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_OF_RESNET = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def original_names(layers: Iterable[str]) -> dict[str, str]:
    """The original names of a UNet's layers, by their names in diffusers; of those that have one.

    Args:
        layers: names in diffusers, of all layers with weights.
    """
    names = list(layers)
    blocks = [found for name in names if (found := _BLOCK.fullmatch(name))]
    # Resnets of each block.
    depths = Counter(
        place for place, _ in {((it[1], int(it[2])), it[4]) for it in blocks if it[3] == "resnets"}
    )
    attentive = {(it[1], int(it[2])) for it in blocks if it[3] == "attentions"}
    originals = {name: original for name in names if (original := _outside(name))}
    for it in blocks:
        way, block = it[1], int(it[2])
        # A down block ends with its downsampler, which counts; the upsampler of an up block is in its last resnet's.
        first = sum(depths[way, before] + (way == "down") for before in range(block)) + (way == "down")
        originals[it[0]] = _in_block(it, first, depths[way, block], has_attention=(way, block) in attentive)
    return originals


def _outside(name: str) -> str | None:
    """The original name of a layer outside of the blocks that go down and up."""
    if name in _WHOLE:
        return _WHOLE[name]
    for part, original in _MIDDLE.items():
        if name.startswith(f"{part}."):
            rest = name.removeprefix(f"{part}.")
            return f"{original}.{_OF_RESNET.get(rest, rest)}"
    return None


def _in_block(found: re.Match[str], first: int, depth: int, *, has_attention: bool) -> str:
    """The original name of a layer in a block.

    Args:
        found: of ``_BLOCK``.
        first: original number of the block's first resnet.
        depth: its resnets.
        has_attention: whether each of them is followed by attention.
    """
    way, part, place, rest = found[1], found[3], first + int(found[4]), found[5]
    side = "input_blocks" if way == "down" else "output_blocks"
    match part:
        case "resnets":
            return f"{side}.{place}.0.{_OF_RESNET.get(rest, rest)}"
        case "attentions":
            return f"{side}.{place}.1.{rest}"
        case "downsamplers":
            return f"{side}.{first + depth}.0.op"
        case _:
            return f"{side}.{first + depth - 1}.{2 if has_attention else 1}.conv"
