"""Writes a diffusers folder as one checkpoint file in the layout of the original Stable Diffusion release."""

import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE_NAMES = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0": "mid.attn_1",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "downsamplers.0": "downsample",
    "upsamplers.0": "upsample",
    "resnets": "block",
}


OPEN_CLIP_NAMES = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
OPEN_CLIP_ENDS = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}


def write_single_file(
    folder: Path, file: Path, *, layers: int, with_attention: tuple[bool, ...], open_clip: bool = False
) -> None:
    """Write ``folder`` as ``file``.

    Args:
        folder: in diffusers' layout.
        file: the checkpoint.
        layers: ``layers_per_block`` of the UNet.
        with_attention: whether each of its up blocks has attention.
        open_clip: whether the text encoder has OpenCLIP's names, as in Stable Diffusion 2. Of SDXL's two the second
            always has them.
    """
    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    vae = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    blocks = len({key.split(".")[2] for key in vae if key.startswith("decoder.up_blocks")})
    state = {
        f"model.diffusion_model.{original_unet_key(key, layers, with_attention)}": value
        for key, value in unet.items()
    }
    state |= {f"first_stage_model.{_vae(key, blocks)}": _vae_value(key, value) for key, value in vae.items()}
    save_file(state | _texts(folder, open_clip=open_clip), file)


def _texts(folder: Path, *, open_clip: bool) -> dict[str, Tensor]:
    """The text encoders of a Stable Diffusion, an SDXL or its refiner."""
    first, second = (
        _text(folder / name) if (folder / name).is_dir() else None
        for name in ("text_encoder", "text_encoder_2")
    )
    if first is not None and second is not None:
        place = "conditioner.embedders"
        return _under(f"{place}.0.transformer.text_model", first) | _under(
            f"{place}.1.model", _open_clip(second)
        )
    if second is not None:
        return _under("conditioner.embedders.0.model", _open_clip(second))
    assert first is not None
    if open_clip:
        return _under("cond_stage_model.model", _open_clip(first))
    return _under("cond_stage_model.transformer.text_model", first)


def _under(place: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{place}.{key}": value for key, value in tensors.items()}


def _text(folder: Path) -> dict[str, Tensor]:
    """The weights of a text encoder, by names without the beginning that some have."""
    weights = load_file(folder / "model.safetensors")
    return {key.removeprefix("text_model."): value for key, value in weights.items()}


def _open_clip(text: dict[str, Tensor]) -> dict[str, Tensor]:
    """A text encoder by OpenCLIP's names, with its projections of attention in one."""
    projection = text.get("text_projection.weight", torch.eye(len(text["final_layer_norm.weight"])))
    state = {"text_projection": projection.T.contiguous(), "logit_scale": torch.tensor(1.0)}
    state |= {original: text[key] for key, original in OPEN_CLIP_ENDS.items()}
    for key, value in text.items():
        block = re.match(r"encoder\.layers\.(\d+)\.(.*)", key)
        if block is None:
            continue
        place, rest = f"transformer.resblocks.{block[1]}", block[2]
        if part := re.fullmatch(r"self_attn\.q_proj\.(weight|bias)", rest):
            three = [text[key.replace("q_proj", f"{name}_proj")] for name in "qkv"]
            state[f"{place}.attn.in_proj_{part[1]}"] = torch.cat(three)
        elif not re.match(r"self_attn\.[kv]_proj", rest):
            state[f"{place}.{_renamed(rest, OPEN_CLIP_NAMES)}"] = value
    return state


def original_unet_key(key: str, layers: int, with_attention: tuple[bool, ...]) -> str:
    """The name of a tensor of a UNet in the original release; arguments as for ``write_single_file``."""
    if block := re.match(
        r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", key
    ):
        way, i, part, j, rest = block[1], int(block[2]), block[3], int(block[4]), block[5]
        first = i * (layers + 1)
        match way, part:
            case "down", "downsamplers":
                return f"input_blocks.{first + layers + 1}.0.{rest.replace('conv', 'op')}"
            case "up", "upsamplers":
                return f"output_blocks.{first + layers}.{2 if with_attention[i] else 1}.{rest}"
        place = f"input_blocks.{first + 1 + j}" if way == "down" else f"output_blocks.{first + j}"
        return f"{place}.0.{_renamed(rest, RESNET)}" if part == "resnets" else f"{place}.1.{rest}"
    for name, original in UNET_ENDS.items():
        if key.startswith(f"{name}."):
            rest = key.removeprefix(f"{name}.")
            return f"{original}.{_renamed(rest, RESNET) if 'resnets' in name else rest}"
    raise KeyError(key)


def _vae(key: str, blocks: int) -> str:
    key = re.sub(r"decoder\.up_blocks\.(\d+)", lambda found: f"decoder.up.{blocks - 1 - int(found[1])}", key)
    key = key.replace("encoder.down_blocks", "encoder.down")
    return _renamed(key, VAE_NAMES)


def _vae_value(key: str, value: Tensor) -> Tensor:
    """The original's attention projects by 1 x 1 convolutions."""
    is_projection = re.search(r"attentions\.0\.to_\w+(\.0)?\.weight$", key)
    return value[:, :, None, None].contiguous() if is_projection else value


def _renamed(key: str, names: dict[str, str]) -> str:
    for name, original in names.items():
        key = re.sub(rf"(^|\.){re.escape(name)}(?=\.|$)", rf"\g<1>{original}", key)
    return key
