"""Reads the weights of three networks from one file in the layout of the original Stable Diffusion release."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
    fetch_diffusers_config,
)
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import Module

from jobs.errors import ModelUnavailableError
from worker.models.loading.header import read_header
from worker.models.loading.hub import fetch_descriptions

Tensors = dict[str, Tensor]

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model."
OPEN_CLIP = "cond_stage_model.model."
_SPLIT = ("in_proj_weight", "in_proj_bias")  # of OpenCLIP: three matrices in one
# OpenCLIP's parts that Stable Diffusion 2 does not read: all after the last but one layer.
_UNREAD = (f"{OPEN_CLIP}transformer.resblocks.23.", f"{OPEN_CLIP}text_projection", f"{OPEN_CLIP}logit_scale")


def is_read(key: str) -> bool:
    """Whether a tensor of the file belongs to one of the three networks."""
    return key.startswith((UNET, VAE, TEXT))


def described_by(file: Path) -> Path:
    """A folder that describes a checkpoint of a known kind, fetched from the hub.

    Raises:
        ModelUnavailableError: the file is damaged.
    """
    read_header(file)
    checkpoint = load_file(file)  # mapped; its kind shows in keys, shapes and one number
    return fetch_descriptions(fetch_diffusers_config(checkpoint)["pretrained_model_name_or_path"])


def split(
    checkpoint: Tensors, *, unet: Mapping[str, Any], vae: Mapping[str, Any], text_encoder: Module
) -> dict[str, Tensors]:
    """The tensors of each network, by the names that diffusers and transformers give them.

    What the file holds of a network and they have no name for keeps its own, so that the network can refuse it.
    Anything outside of the three networks is left out.

    Args:
        checkpoint: the tensors of the file.
        unet: configuration of the UNet.
        vae: configuration of the VAE.
        text_encoder: without weights.

    Raises:
        ModelUnavailableError: it holds nothing of one of them.
    """
    for prefix, what in ((UNET, "UNet"), (VAE, "VAE"), (TEXT, "text encoder")):
        if not any(key.startswith(prefix) for key in checkpoint):
            raise ModelUnavailableError(f"the file holds no {what}: none of its keys begins with {prefix}")
    text = (
        convert_open_clip_checkpoint(text_encoder, checkpoint)
        if any(key.startswith(OPEN_CLIP) for key in checkpoint)
        else convert_ldm_clip_checkpoint(checkpoint)
    )
    return {
        "unet": _whole(UNET, checkpoint, convert_ldm_unet_checkpoint(checkpoint, unet)),
        "vae": _whole(VAE, checkpoint, convert_ldm_vae_checkpoint(checkpoint, vae)),
        "text_encoder": _whole(TEXT, checkpoint, text),
    }


def _whole(prefix: str, checkpoint: Tensors, named: Tensors) -> Tensors:
    """The named tensors, and those without a name, which the conversions drop."""
    known = {tensor.data_ptr() for tensor in named.values()}
    rest = {
        key.removeprefix(prefix): tensor
        for key, tensor in checkpoint.items()
        if key.startswith(prefix)
        and tensor.data_ptr() not in known
        and not key.startswith(_UNREAD)
        and not (key.startswith(OPEN_CLIP) and key.endswith(_SPLIT))
    }
    return named | rest
