"""Loads an IP-Adapter and the encoder of its pictures."""

import math
from collections.abc import Sequence
from pathlib import Path

from accelerate import init_empty_weights
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from jobs.catalog.catalog import Catalog
from jobs.catalog.image_prompts import ImagePromptCard
from jobs.errors import ModelUnavailableError
from worker.models.device import Device
from worker.models.failures import is_out_of_memory
from worker.models.image_prompts.adapter import ImagePromptAdapter
from worker.models.image_prompts.encoders import ClipEncoder, ImageEncoder, VisionEncoder
from worker.models.image_prompts.network import IPAdapter, network_of
from worker.models.loading.clip import load_clip
from worker.models.loading.description import read_object
from worker.models.loading.files import parameters, require_pinned
from worker.models.loading.header import outline, read_shapes
from worker.models.loading.layout import network_files
from worker.models.loading.reading import read_tensors
from worker.models.loading.weights import fill, require_own
from worker.models.shared import SharedNetworks

KIND = "clip_vision_model"
CONFIG, PREPARATION = "config.json", "preprocessor_config.json"
STEM = "model"
_WHAT = "the image encoder"


def load_image_prompt(
    card: ImagePromptCard, catalog: Catalog, device: Device, shared: SharedNetworks
) -> ImagePromptAdapter:
    """Load an IP-Adapter of the catalog and its encoder.

    Args:
        card: of the catalog.
        catalog: has the CLIP that it may name.
        device: for the networks.
        shared: networks in memory; an encoder whose files are the same is not loaded again.

    Raises:
        ModelUnavailableError: its files are missing or damaged, it is of another kind, or not for this encoder.
        RuntimeError: it does not fit the device's memory; see ``is_out_of_memory``.
    """
    what = f"image prompt adapter {card.id}"
    try:
        network = empty_network(card.path)
        fill(network, read_tensors([card.path], device, shared.digests), what, device)
        require_pinned(card, card.path, shared.digests)
        return ImagePromptAdapter(card.id, network, _encoder(card, catalog, device, shared), device)
    except ModelUnavailableError as error:
        raise ModelUnavailableError(f"{what}: {error.message}") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelUnavailableError(f"{what}: {card.path.name} cannot be loaded: {error}") from error


def empty_network(file: Path) -> IPAdapter:
    """The network of a file, its weights on the meta device.

    Raises:
        ModelUnavailableError: the file is missing or damaged, no .safetensors, or no IP-Adapter that is served.
    """
    if not file.is_file():
        raise ModelUnavailableError(f"{file} does not exist")
    if file.suffix != ".safetensors":
        raise ModelUnavailableError(
            f"{file.name} is not a .safetensors file; other formats can run code when they are read"
        )
    tensors = outline([file])
    with init_empty_weights():
        network = network_of(tensors)
    require_own(network, tensors, "an IP-Adapter")
    return network


def image_prompt_parameters(card: ImagePromptCard, catalog: Catalog) -> int:
    """Number of the parameters of an adapter and its encoder, by the headers of their files; 0 if one is damaged."""
    try:
        encoder = 0 if card.encoder is None else _count(_weights(card.encoder))
        clip = 0 if card.clip is None else parameters(catalog.clip(card.clip))
        return _count([card.path]) + encoder + clip
    except Exception:
        return 0  # loading it will say what is wrong


def _count(files: Sequence[Path]) -> int:
    return sum(math.prod(shape) for file in files for shape in read_shapes(file).values())


def _encoder(card: ImagePromptCard, catalog: Catalog, device: Device, shared: SharedNetworks) -> ImageEncoder:
    if card.encoder is not None:
        return load_vision_encoder(card.encoder, device, shared)
    assert card.clip is not None  # a card has one of the two
    return ClipEncoder(load_clip(catalog.clip(card.clip), device, shared))


def load_vision_encoder(folder: Path, device: Device, shared: SharedNetworks) -> VisionEncoder:
    """Load a folder of transformers' CLIPVisionModelWithProjection.

    Its ``preprocessor_config.json`` says how pixels are normalised; without one they are as for OpenAI's CLIPs.

    Raises:
        ModelUnavailableError: its files are missing or damaged, or it is of another kind.
        RuntimeError: it does not fit the device's memory; see ``is_out_of_memory``.
    """
    config = read_object(folder / CONFIG)
    if config.get("model_type") != KIND:
        raise ModelUnavailableError(f"{_WHAT} is a {config.get('model_type')}, not a {KIND}")
    weights = _weights(folder)
    files = [folder / CONFIG, *weights]
    network = shared.find(files)
    if network is None:
        with init_empty_weights():
            network = CLIPVisionModelWithProjection(
                CLIPVisionConfig.from_pretrained(folder, local_files_only=True)
            )
        require_own(network, outline(weights), _WHAT)
        fill(network, read_tensors(weights, device, shared.digests), _WHAT, device)
        shared.add(files, network)
    preparation = folder / PREPARATION
    told = read_object(preparation) if preparation.is_file() else {}
    mean, std = told.get("image_mean", OPENAI_CLIP_MEAN), told.get("image_std", OPENAI_CLIP_STD)
    return VisionEncoder(network, mean, std, device)


def _weights(folder: Path) -> list[Path]:
    names = (f"encoder/{file.name}" for file in folder.glob("*.safetensors"))
    (chosen,) = network_files(names, {"encoder": STEM}).values()
    return [folder / Path(name).name for name in chosen]
