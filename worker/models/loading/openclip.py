"""Loads the network of an OpenCLIP folder: built without weights, then filled with exactly those of its file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import open_clip
import torch
from accelerate import init_empty_weights
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict, set_model_preprocess_cfg
from open_clip.transform import PreprocessCfg, merge_preprocess_dict
from torch import Tensor
from torch.nn import Module

from worker.models.device import Device
from worker.models.loading.header import outline
from worker.models.loading.layout import CLIP_CONFIG, CLIP_WEIGHTS
from worker.models.loading.reading import read_tensors
from worker.models.loading.weights import fill, require_own
from worker.models.shared import SharedNetworks

_WHAT = "the CLIP"
_SCALARS = ("logit_scale", "logit_bias")  # some files hold them as [1]


def load_openclip(folder: Path, device: Device, shared: SharedNetworks) -> Module:
    """Load the network of an OpenCLIP folder, frozen.

    Args:
        folder: with the configuration and the weights.
        device: where to.
        shared: networks in memory; one whose files are the same is not loaded again.

    Raises:
        ModelUnavailableError: the weights are damaged, or not its own.
        RuntimeError: it does not fit the device's memory; see ``is_out_of_memory``.
    """
    files = [folder / CLIP_WEIGHTS, folder / CLIP_CONFIG]
    network = shared.find(files)
    if network is None:
        network = empty_openclip(folder, outline(files[:1]))
        fill(network, _named(network, read_tensors(files[:1], device, shared.digests)), _WHAT, device)
        shared.add(files, network)
    return network


def empty_openclip(folder: Path, tensors: dict[str, Tensor]) -> Module:
    """The network of a folder without its weights, once these are known to be its own by their names and shapes.

    Args:
        folder: with the configuration.
        tensors: of the file of the weights, on the meta device.

    Raises:
        ModelUnavailableError: they are not its own.
    """
    network = _empty(folder)
    require_own(network, _named(network, tensors), _WHAT)
    return network


def _empty(folder: Path) -> Module:
    """The network as its configuration has it, its weights on the meta device.

    OpenCLIP's own ``create_model`` draws them at random, and would move buffers that no file holds to that device too.
    """
    config = json.loads((folder / CLIP_CONFIG).read_text(encoding="utf-8"))
    fields: dict[str, Any] = config["model_cfg"]
    text, vision = fields["text_cfg"], fields["vision_cfg"]
    with_module = fields.pop("custom_text", False) or "hf_model_name" in text
    if "hf_model_name" in text:
        text["hf_model_pretrained"] = False
    if "timm_model_name" in vision:
        vision["timm_model_pretrained"] = False
    kind: Any = open_clip.CLIP
    if with_module:
        kind = open_clip.CoCa if "multimodal_cfg" in fields else open_clip.CustomTextCLIP
    with init_empty_weights():
        network: Module = kind(**fields)
    pictures = merge_preprocess_dict(asdict(PreprocessCfg()), config.get("preprocess_cfg", {}))
    set_model_preprocess_cfg(
        network, pictures | {"size": getattr(network.visual, "image_size", pictures["size"])}
    )
    return network


def _named(network: Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A file's tensors by the names that OpenCLIP has now, as its own loading of checkpoints gives them."""
    if next(iter(tensors), "").startswith("module."):
        tensors = {key.removeprefix("module."): tensor for key, tensor in tensors.items()}
    named: dict[str, Tensor] = dict(convert_state_dict(network, tensors))
    if "positional_embedding" in named and not hasattr(network, "positional_embedding"):
        named = convert_to_custom_text_state_dict(named)
    own = network.state_dict()
    for name in _SCALARS:
        if name in own and name in named and named[name].numel() == 1:
            named[name] = named[name].reshape(own[name].shape)
    if "logit_bias" in own and "logit_bias" not in named and "logit_scale" in named:
        named["logit_bias"] = torch.zeros_like(named["logit_scale"]).reshape(own["logit_bias"].shape)
    return named
