"""Divides a checkpoint that is one file, in the layout of its original release, among the networks of its family."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers.loaders.single_file_utils import fetch_diffusers_config
from torch.multiprocessing.reductions import StorageWeakRef

from jobs.errors import ModelUnavailableError
from worker.models.families.family import Family, Network, Tensors
from worker.models.loading.header import outline
from worker.models.loading.hub import fetch_descriptions


def described_by(file: Path) -> Path:
    """A folder that describes a checkpoint of a known kind, fetched from the hub.

    Raises:
        ModelUnavailableError: the file is damaged.
    """
    return fetch_descriptions(fetch_diffusers_config(outline([file]))["pretrained_model_name_or_path"])


def split(checkpoint: Tensors, family: Family, parts: Mapping[str, Any]) -> dict[str, Tensors]:
    """The tensors of each network, by the names that diffusers and transformers give them.

    What the file holds of a network and they have no name for keeps its own, so that the network can refuse it.
    Anything outside of the networks is left out.

    Args:
        checkpoint: the tensors of the file, on the meta device or not.
        family: of the checkpoint.
        parts: its networks, without weights.

    Raises:
        ModelUnavailableError: it holds nothing of one of them.
    """
    for network in family.networks.values():
        if not any(key.startswith(network.prefix) for key in checkpoint):
            what = network.title.removeprefix("the ")
            raise ModelUnavailableError(
                f"the file holds no {what}: none of its keys begins with {network.prefix}"
            )
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
