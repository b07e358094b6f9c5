"""Loads controls: ControlNets, Control-LoRAs and T2I-Adapters, told apart by their own files."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
from accelerate import init_empty_weights
from torch import Tensor

from jobs.catalog.controls import ControlCard
from jobs.errors import ModelUnavailableError
from worker.models.controls.borrowing import BorrowingControlNet
from worker.models.controls.control import Control
from worker.models.controls.controlnet import ControlNet
from worker.models.controls.original import is_original, named_anew
from worker.models.controls.t2i_adapter import T2IAdapter
from worker.models.device import Device
from worker.models.failures import is_out_of_memory
from worker.models.loading.description import read_object
from worker.models.loading.digests import Digests
from worker.models.loading.files import locate, require_pinned
from worker.models.loading.header import outline, read_header, read_shapes
from worker.models.loading.layout import CONFIG, NETWORK_STEM, alone
from worker.models.loading.reading import read_tensors
from worker.models.loading.weights import fill, require_own

BORROWING = "ControlLora"
# Fields of a configuration that ask for conditions besides a text and a map.
_UNSERVED = ("class_embed_type", "num_class_embeds")
_ADDED = (None, "text", "text_time")
_ENCODER = "controlnet_cond_embedding.conv_in.weight"


def load_control(card: ControlCard, device: Device, digests: Digests) -> Control:
    """Load a control: a folder that diffusers has written, a Control-LoRA's, or one .safetensors file.

    Args:
        card: of the catalog.
        device: for its network.
        digests: of files.

    Raises:
        ModelUnavailableError: its files are missing or damaged, or it is of another kind.
        RuntimeError: it does not fit the device's memory; see ``is_out_of_memory``.
    """
    what, path = f"control {card.id}", locate(card)
    try:
        control = _loaded(card, path, device, digests)
        require_pinned(card, path, digests)
    except ModelUnavailableError as error:
        raise ModelUnavailableError(f"{what}: {error.message}") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelUnavailableError(f"{what}: {path.name} cannot be loaded: {error}") from error
    return control


def control_parameters(card: ControlCard) -> int:
    """Number of its parameters, from the headers of its files; 0 if these cannot be read."""
    try:
        path = locate(card)
        files = [path] if path.is_file() else _weights(path, card.variant)
        return sum(math.prod(shape) for file in files for shape in read_shapes(file).values())
    except Exception:
        return 0  # loading it will say what is wrong


def _loaded(card: ControlCard, path: Path, device: Device, digests: Digests) -> Control:
    """A control of the class that its configuration names; one file has none."""
    if path.is_file():
        return _borrowing(card.id, _tensors_of_file(path, device, digests), device)
    config = read_object(path / CONFIG)
    name = config.get("_class_name")
    if name == BORROWING:
        tensors = read_tensors(_weights(path, card.variant), device, digests)
        is_bgr = config.get("controlnet_conditioning_channel_order") == "bgr"
        return _borrowing(card.id, tensors, device, is_bgr=is_bgr)
    if name not in _CLASSES:
        raise ModelUnavailableError(f"it is a {name}, not a {BORROWING} or {' or '.join(_CLASSES)}")
    make, require = _CLASSES[name]
    require(config)
    described: Any = getattr(diffusers, name)
    with init_empty_weights():
        network = described.from_config(described.load_config(path))
    files = _weights(path, card.variant)
    require_own(network, outline(files), "the control")
    fill(network, read_tensors(files, device, digests), "the control", device)
    return make(card.id, network, device)


def _tensors_of_file(file: Path, device: Device, digests: Digests) -> dict[str, Tensor]:
    """Those of a ControlNet or a Control-LoRA, by diffusers' names."""
    is_old = is_original(entry.name for entry in read_header(file).entries)
    named = named_anew(outline([file])) if is_old else outline([file])
    if _ENCODER not in named:
        raise ModelUnavailableError("the file holds no ControlNet and no Control-LoRA")
    tensors = read_tensors([file], device, digests)
    return named_anew(tensors) if is_old else tensors


def _borrowing(
    control_id: str, tensors: Mapping[str, Tensor], device: Device, *, is_bgr: bool = False
) -> Control:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ModelUnavailableError(f"{name} has numbers that are not finite")
    return BorrowingControlNet(control_id, tensors, device, is_bgr=is_bgr)


def _require_text_and_map(config: Mapping[str, Any]) -> None:
    for field in _UNSERVED:
        if config.get(field) is not None:
            raise ModelUnavailableError(
                f"it is told more than a text and a map: its {field} is {config[field]!r}"
            )
    if config.get("addition_embed_type") not in _ADDED:
        raise ModelUnavailableError(
            f"it is told more than a text and a map: its addition_embed_type is {config['addition_embed_type']!r}"
        )


def _require_nothing(config: Mapping[str, Any]) -> None:
    pass


_Make = Callable[[str, Any, Device], Control]
# Of diffusers, by their names: what is made of one, and what refuses it by its configuration.
_CLASSES: dict[str, tuple[_Make, Callable[[Mapping[str, Any]], None]]] = {
    "ControlNetModel": (ControlNet, _require_text_and_map),
    "T2IAdapter": (T2IAdapter, _require_nothing),
}


def _weights(folder: Path, variant: str | None) -> list[Path]:
    return [folder / name for name in alone((file.name for file in folder.iterdir()), NETWORK_STEM, variant)]
