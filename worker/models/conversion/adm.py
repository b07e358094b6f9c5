"""Checkpoints of guided diffusion (Dhariwal & Nichol 2021, "ADM") by the names that diffusers has for their tensors.

The published files are plain state dicts whose names follow the modules of that network: ``time_embed``,
``input_blocks.i.j``, ``middle_block.i``, ``output_blocks.i.j`` and ``out``.
"""

from collections.abc import Iterator, Mapping

from torch import Tensor

from jobs.errors import ModelUnavailableError
from worker.models.conversion.layout import Layout

_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}


def converted(
    tensors: Mapping[str, Tensor], layout: Layout, head_width: int, *, is_legacy: bool
) -> dict[str, Tensor]:
    """The tensors by the names that diffusers has for them.

    Args:
        tensors: of the checkpoint.
        layout: of it.
        head_width: channels of an attention's head.
        is_legacy: whether queries, keys and values alternate head by head, as in all files that were published; else
            all queries come first.

    Raises:
        ModelUnavailableError: tensors are left that have no place, or a head's width divides no attention.
    """
    left = dict(tensors)
    found: dict[str, Tensor] = {}
    for old, new in _places(layout, tensors):
        for kind in ("weight", "bias"):
            tensor = left.pop(f"{old}.{kind}", None)
            if tensor is None:
                continue
            if new.endswith(".qkv"):
                parts = _divided(tensor.flatten(1) if kind == "weight" else tensor, head_width, is_legacy)
                base = new.removesuffix(".qkv")
                found |= {f"{base}.to_{name}.{kind}": part for name, part in zip("qkv", parts, strict=True)}
            else:
                # Convolutions of one place are linear layers in diffusers' attention.
                found[f"{new}.{kind}"] = (
                    tensor.flatten(1) if ".to_out." in new and kind == "weight" else tensor
                )
    if left:
        raise ModelUnavailableError(f"the checkpoint has tensors without a place, such as {min(left)}")
    return found


def _divided(tensor: Tensor, head_width: int, is_legacy: bool) -> tuple[Tensor, ...]:
    """Queries, keys and values [C, ...] of one tensor [3 C, ...]."""
    width = len(tensor) // 3
    if width % head_width:
        raise ModelUnavailableError(f"heads of {head_width} channels do not divide an attention of {width}")
    if not is_legacy:
        return tuple(part.contiguous() for part in tensor.chunk(3))
    heads = tensor.view(width // head_width, 3, head_width, *tensor.shape[1:])
    return tuple(part.reshape(width, *tensor.shape[1:]) for part in heads.unbind(1))


def _places(layout: Layout, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Pairs of a module's name there and here; a module without tensors has none."""
    yield from _ENDS.items()
    levels, each = len(layout.widths), layout.layers + 1
    for level in range(levels):
        for layer in range(layout.layers):
            old, new = f"input_blocks.{1 + level * each + layer}", f"down_blocks.{level}"
            yield from _resnet(f"{old}.0", f"{new}.resnets.{layer}")
            yield from _attention(f"{old}.1", f"{new}.attentions.{layer}")
        if level < levels - 1:
            old, new = f"input_blocks.{(level + 1) * each}.0", f"down_blocks.{level}.downsamplers.0"
            yield from _resnet(old, new)
            yield f"{old}.op", f"{new}.conv"
    yield from _resnet("middle_block.0", "mid_block.resnets.0")
    yield from _attention("middle_block.1", "mid_block.attentions.0")
    yield from _resnet("middle_block.2", "mid_block.resnets.1")
    for level in range(levels):
        for layer in range(each):
            old, new = f"output_blocks.{level * each + layer}", f"up_blocks.{level}"
            yield from _resnet(f"{old}.0", f"{new}.resnets.{layer}")
            if f"{old}.1.qkv.weight" in tensors:
                yield from _attention(f"{old}.1", f"{new}.attentions.{layer}")
        if level < levels - 1:
            last = f"output_blocks.{level * each + layout.layers}"
            grown = f"{last}.{2 if layout.attends[levels - 1 - level] else 1}"
            yield from _resnet(grown, f"up_blocks.{level}.upsamplers.0")
            yield f"{grown}.conv", f"up_blocks.{level}.upsamplers.0.conv"


def _resnet(old: str, new: str) -> Iterator[tuple[str, str]]:
    return ((f"{old}.{theirs}", f"{new}.{ours}") for theirs, ours in _RESNET.items())


def _attention(old: str, new: str) -> Iterator[tuple[str, str]]:
    yield f"{old}.norm", f"{new}.group_norm"
    yield f"{old}.qkv", f"{new}.qkv"
    yield f"{old}.proj_out", f"{new}.to_out.0"
