"""Load the parts of a Stable Diffusion, each by itself: configurations first, then weights that are exactly theirs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import diffusers
import transformers
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, SchedulerMixin, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from jobs.errors import ModelUnavailableError
from worker.models.device import Device
from worker.models.loading.compatibility import (
    require_compatibility,
    require_network,
    require_our_kind,
    require_schedule,
    require_vocabulary,
)
from worker.models.loading.digests import Digests
from worker.models.loading.files import weights_in
from worker.models.loading.header import outline
from worker.models.loading.layout import INDEX, NETWORKS
from worker.models.loading.reading import read_tensors
from worker.models.loading.single_file import described_by, is_read, split
from worker.models.loading.weights import fill, require_own, with_new_attention
from worker.models.shared import SharedNetworks

_NAMES = {"text_encoder": "the text encoder", "unet": "the UNet", "vae": "the VAE"}


@dataclass
class Parts:
    """The parts of a Stable Diffusion, by their names in diffusers' pipeline."""

    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any
    scheduler: Any


def load_folder_parts(folder: Path, variant: str | None, device: Device, shared: SharedNetworks) -> Parts:
    """Load a diffusers folder.

    Args:
        folder: with a ``model_index.json``.
        variant: which weights to read, as for ``network_files``.
        device: where to.
        shared: networks in memory; those with the same files are not loaded again.

    Raises:
        ModelUnavailableError: it is of a kind that is not served, or its parts do not fit their weights or each other.
    """
    weights = weights_in(folder, variant)
    files = {name: [*(folder / name).glob("*.json"), *weights[name]] for name in NETWORKS}
    known = {name: network for name in NETWORKS if (network := shared.find(files[name])) is not None}
    parts = _described(folder, known)
    for name in [name for name in NETWORKS if name not in known]:
        network = getattr(parts, name)
        require_own(network, _renamed(name, outline(weights[name])), _NAMES[name])
        tensors = read_tensors(weights[name], device, shared.digests)
        fill(network, _renamed(name, tensors), _NAMES[name], device)
        shared.add(files[name], network)
    return parts


def load_file_parts(file: Path, config: Path | None, device: Device, digests: Digests) -> Parts:
    """Load a checkpoint that is one file.

    Args:
        file: in the layout of the original release.
        config: a diffusers folder that describes it; None fetches that of its kind from the hub.
        device: where to.
        digests: of files.

    Raises:
        ModelUnavailableError: as for ``load_folder_parts``.
    """
    parts = _described(described_by(file) if config is None else config, {})
    checkpoint = read_tensors([file], device, digests, is_read)
    tensors = split(checkpoint, unet=parts.unet.config, vae=parts.vae.config, text_encoder=parts.text_encoder)
    for name in NETWORKS:
        fill(getattr(parts, name), tensors[name], _NAMES[name], device)
    return parts


def _described(folder: Path, known: Mapping[str, Any]) -> Parts:
    """The parts that a folder describes, fit for each other; networks that are not known have no weights yet."""
    index = _read(folder / INDEX)
    require_our_kind(index)
    if not (folder / "tokenizer").is_dir():
        raise ModelUnavailableError("there is no tokenizer")  # transformers would look for it on the hub
    parts = Parts(
        tokenizer=getattr(transformers, index["tokenizer"][1]).from_pretrained(
            folder / "tokenizer", local_files_only=True
        ),
        **{name: known.get(name) or _empty(folder, name) for name in NETWORKS},
        scheduler=_scheduler(folder, index["scheduler"][1]),
    )
    require_compatibility(parts.text_encoder.config, parts.unet.config, parts.vae.config)
    require_vocabulary(parts.tokenizer, parts.text_encoder.config.vocab_size)
    require_schedule(parts.scheduler.config)
    return parts


def _empty(folder: Path, name: str) -> Any:
    """A network as its configuration has it, its weights on the meta device."""
    config = _read(folder / name / "config.json")
    require_network(name, config)
    with init_empty_weights():
        if name == "text_encoder":
            return CLIPTextModel(CLIPTextConfig.from_pretrained(folder / name, local_files_only=True))
        kind = UNet2DConditionModel if name == "unet" else AutoencoderKL
        return kind.from_config(kind.load_config(folder / name))


def _scheduler(folder: Path, name: str) -> Any:
    kind = getattr(diffusers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, SchedulerMixin)):
        raise ModelUnavailableError(f"its scheduler, a {name}, is not one of diffusers'")
    _read(folder / "scheduler" / "scheduler_config.json")
    return cast("Any", kind).from_pretrained(folder / "scheduler", local_files_only=True)


def _renamed(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return with_new_attention(tensors) if name == "vae" else tensors


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        where = "" if file.name == INDEX else f"{file.parent.name}/"
        raise ModelUnavailableError(f"there is no {where}{file.name}")
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ModelUnavailableError(f"{file.parent.name}/{file.name} holds no object")
    return content
