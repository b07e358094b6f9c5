"""Tensors of older layouts, by the names that diffusers and transformers have for them now.

A checkpoint that is one file has the names of the original Stable Diffusion releases.
"""

import re
from typing import Any

from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)

from jobs.errors import ModelUnavailableError
from worker.models.families.compatibility import require_latents
from worker.models.families.family import Tensors

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model."
OPEN_CLIP = f"{TEXT}model."
XL_TEXT, XL_TEXT_2 = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
REFINER_TEXT = "conditioner.embedders.0.model."
# OpenCLIP's parts that Stable Diffusion 2 does not read: all after the last but one layer.
_UNREAD = (f"{OPEN_CLIP}transformer.resblocks.23.", f"{OPEN_CLIP}text_projection", f"{OPEN_CLIP}logit_scale")
# Of OpenCLIP: three matrices in one, and one that is transposed. The conversion makes copies of these.
_SPLIT, _TRANSPOSED = ("in_proj_weight", "in_proj_bias"), "text_projection"
# Attention of VAEs that were written by diffusers before 0.17.
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def require_latents_of_file(checkpoint: Tensors, *, edits: bool = False) -> None:
    """Refuse a UNet that does not go with the VAE, by their shapes; see ``require_latents``.

    Raises:
        ModelUnavailableError: it does.
    """
    taken, given = (checkpoint.get(f"{UNET}{key}.weight") for key in ("input_blocks.0.0", "out.2"))
    decoded = checkpoint.get(f"{VAE}decoder.conv_in.weight")
    if taken is not None and given is not None and decoded is not None:
        require_latents(
            {"in_channels": taken.shape[1], "out_channels": given.shape[0]},
            {"latent_channels": decoded.shape[1]},
            edits=edits,
        )


def unet(checkpoint: Tensors, network: Any) -> Tensors:
    """The tensors of a UNet in one file."""
    return dict(convert_ldm_unet_checkpoint(checkpoint, network.config))


def vae(checkpoint: Tensors, network: Any) -> Tensors:
    """The tensors of a VAE in one file."""
    return dict(convert_ldm_vae_checkpoint(checkpoint, network.config))


def text_encoder(checkpoint: Tensors, network: Any) -> Tensors:
    """The tensors of a CLIP's or an OpenCLIP's text encoder in one file."""
    if any(key.startswith(OPEN_CLIP) for key in checkpoint):
        return dict(convert_open_clip_checkpoint(network, checkpoint))
    return dict(convert_ldm_clip_checkpoint(checkpoint))


def is_unread_text(key: str) -> bool:
    """Whether a tensor of an OpenCLIP is none of its text encoder's own: left out, or divided into several."""
    return key.startswith(_UNREAD) or (key.startswith(OPEN_CLIP) and key.endswith(_SPLIT))


def open_clip_text_encoder(checkpoint: Tensors, network: Any, prefix: str) -> Tensors:
    """The tensors of the OpenCLIP's text encoder in an SDXL file, whose keys begin with a prefix."""
    return dict(convert_open_clip_checkpoint(network, checkpoint, prefix=prefix))


def text_tower(open_clip: Tensors) -> Tensors:
    """The tensors of the text encoder that an OpenCLIP's own file holds beside its picture encoder.

    Raises:
        ModelUnavailableError: its text tower is not OpenCLIP's own, such as a BERT.
    """
    if _TRANSPOSED not in open_clip:
        raise ModelUnavailableError(f"the OpenCLIP has no {_TRANSPOSED}: its text tower is of another kind")
    return open_clip_text_encoder(open_clip, network=None, prefix="")


def is_divided(key: str) -> bool:
    """Whether a tensor of SDXL's OpenCLIP has none of its own in the text encoder."""
    return key.endswith((*_SPLIT, _TRANSPOSED, "logit_scale"))


def with_new_attention(tensors: Tensors) -> Tensors:
    """A VAE's tensors by the names that its attention has now."""
    old = re.compile(rf"(.*\battentions\.\d+)\.({'|'.join(_OLD_ATTENTION)})\.(weight|bias)")
    return {
        f"{found[1]}.{_OLD_ATTENTION[found[2]]}.{found[3]}" if (found := old.fullmatch(key)) else key: tensor
        for key, tensor in tensors.items()
    }
