"""Loads a ControlNet."""

import math
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from diffusers import ControlNetModel

from jobs.catalog.controls import ControlCard
from jobs.errors import ModelUnavailableError
from worker.models.controls.control import Control
from worker.models.device import Device
from worker.models.failures import is_out_of_memory
from worker.models.loading.description import read_object
from worker.models.loading.digests import Digests
from worker.models.loading.files import require_pinned
from worker.models.loading.header import outline, read_shapes
from worker.models.loading.layout import network_files
from worker.models.loading.reading import read_tensors
from worker.models.loading.weights import fill, require_own

CLASS = "ControlNetModel"
STEM = "diffusion_pytorch_model"
# Fields of a configuration that ask for conditions besides a text and a map.
_UNSERVED = ("class_embed_type", "num_class_embeds")
_ADDED = (None, "text", "text_time")


def load_control(card: ControlCard, device: Device, digests: Digests) -> Control:
    """Load a ControlNet: a folder that diffusers has written.

    Args:
        card: of the catalog.
        device: for its network.
        digests: of files.

    Raises:
        ModelUnavailableError: its files are missing or damaged, or it is of another kind.
        RuntimeError: it does not fit the device's memory; see ``is_out_of_memory``.
    """
    what = f"control {card.id}"
    try:
        network, files = _empty(card.path), _weights(card.path, card.variant)
        require_own(network, outline(files), what)
        fill(network, read_tensors(files, device, digests), what, device)
        require_pinned(card, card.path, digests)
    except ModelUnavailableError as error:
        raise ModelUnavailableError(f"{what}: {error.message}") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelUnavailableError(f"{what}: {card.path.name} cannot be loaded: {error}") from error
    return Control(card.id, network, device)


def control_parameters(card: ControlCard) -> int:
    """Number of its parameters, from the headers of its files; 0 if these cannot be read."""
    try:
        files = _weights(card.path, card.variant)
        return sum(math.prod(shape) for file in files for shape in read_shapes(file).values())
    except Exception:
        return 0  # loading it will say what is wrong


def _empty(folder: Path) -> Any:
    """The network as its configuration has it, its weights on the meta device."""
    config = read_object(folder / "config.json")
    if config.get("_class_name") != CLASS:
        raise ModelUnavailableError(f"it is a {config.get('_class_name')}, not a {CLASS}")
    for field in _UNSERVED:
        if config.get(field) is not None:
            raise ModelUnavailableError(
                f"it is told more than a text and a map: its {field} is {config[field]!r}"
            )
    if config.get("addition_embed_type") not in _ADDED:
        raise ModelUnavailableError(
            f"it is told more than a text and a map: its addition_embed_type is {config['addition_embed_type']!r}"
        )
    with init_empty_weights():
        return ControlNetModel.from_config(ControlNetModel.load_config(folder))


def _weights(folder: Path, variant: str | None) -> list[Path]:
    names = (f"control/{file.name}" for file in folder.glob("*.safetensors"))
    (chosen,) = network_files(names, {"control": STEM}, variant).values()
    return [folder / Path(name).name for name in chosen]
