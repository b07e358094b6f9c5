"""Divides a checkpoint that is one file, in the layout of its original release, among the networks of its family."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers.loaders.single_file_utils import fetch_diffusers_config, infer_diffusers_model_type
from torch.multiprocessing.reductions import StorageWeakRef

from jobs.errors import ModelUnavailableError
from worker.models.families.family import Family, Network, Tensors
from worker.models.families.table import family_of
from worker.models.loading.description import family_in
from worker.models.loading.header import outline
from worker.models.loading.hub import fetch_descriptions

# Pipelines of the kinds that diffusers tells apart, by the beginnings of their names there. It takes what it does not
# know for the first.
_PIPELINES = {
    "v1": "StableDiffusionPipeline",
    "v2": "StableDiffusionPipeline",
    # Told apart from the first by 9 and 8 channels alone.
    "inpainting": "StableDiffusionPipeline",
    "instruct-pix2pix": "StableDiffusionInstructPix2PixPipeline",
    "upscale": "StableDiffusionUpscalePipeline",
    "xl_base": "StableDiffusionXLPipeline",
    "xl_refiner": "StableDiffusionXLImg2ImgPipeline",
    "xl_inpaint": "StableDiffusionXLInpaintPipeline",
    "playground": "StableDiffusionXLPipeline",
    "sd3": "StableDiffusion3Pipeline",
    "flux-fill": "FluxFillPipeline",
    "flux-depth": "FluxControlPipeline",
    "flux-2": "Flux2Pipeline",
    "flux-dev": "FluxPipeline",
    "flux-schnell": "FluxPipeline",
    "controlnet": "ControlNetModel",
}
_UNCLIP = "model.diffusion_model.label_emb.0.0.weight"  # of Stable Diffusion 2.1 that is told of a picture
_BARE_UNETS = ("input_blocks.0.0.weight", "conv_in.weight")  # of the original release, of diffusers


def described_by(file: Path) -> Path:
    """A folder that describes a checkpoint of a known kind, fetched from the hub."""
    return fetch_descriptions(fetch_diffusers_config(outline([file]))["pretrained_model_name_or_path"])


def family_of_file(file: Path, config: Path | None) -> Family:
    """The family of a checkpoint, by the keys and shapes in its header.

    Args:
        file: the checkpoint.
        config: a diffusers folder that is said to describe it.

    Raises:
        ModelUnavailableError: the file is damaged, no family serves it, or the folder describes one of another family.
    """
    tensors = outline([file])
    family = family_of(_pipeline(tensors))
    for network in family.networks.values():
        if not any(key.startswith(network.prefix) for key in tensors):
            what = network.title.removeprefix("the ")
            alone = "; it is a UNet alone" if any(key in tensors for key in _BARE_UNETS) else ""
            raise ModelUnavailableError(
                f"the file holds no {what}: none of its keys begins with {network.prefix}{alone}"
            )
    family.require_file(tensors)
    if config is not None and family_in(config) is not family:
        raise ModelUnavailableError(f"it is of {family.name}, and {config.name}, its config, is not")
    return family


def _pipeline(tensors: Tensors) -> str:
    """The class of the pipeline that a file belongs to; a description where diffusers has none."""
    kind = infer_diffusers_model_type(tensors)
    if kind == "v2" and _UNCLIP in tensors:
        return "StableUnCLIPPipeline"
    known = (pipeline for begin, pipeline in _PIPELINES.items() if kind.startswith(begin))
    return next(known, f"checkpoint of the kind {kind}")


def split(checkpoint: Tensors, family: Family, parts: Mapping[str, Any]) -> dict[str, Tensors]:
    """The tensors of each network, by the names that diffusers and transformers give them.

    What the file holds of a network and they have no name for keeps its own, so that the network can refuse it.
    Anything outside of the networks is left out.

    Args:
        checkpoint: the tensors of the file, on the meta device or not.
        family: of the checkpoint.
        parts: its networks, without weights.

    """
    return {name: _whole(network, checkpoint, parts[name]) for name, network in family.networks.items()}


def _whole(network: Network, checkpoint: Tensors, empty: Any) -> Tensors:
    """The named tensors, and those without a name, which the conversions drop."""
    named = network.convert(checkpoint, empty)
    known = {StorageWeakRef(tensor.untyped_storage()).cdata for tensor in named.values()}
    rest = {
        key.removeprefix(network.prefix): tensor
        for key, tensor in checkpoint.items()
        if key.startswith(network.prefix)
        and StorageWeakRef(tensor.untyped_storage()).cdata not in known
        and not network.is_unread(key)
    }
    return named | rest
