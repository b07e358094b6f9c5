"""Load the parts of a checkpoint, each by itself: configurations first, then weights that are exactly theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import diffusers
import torch
import transformers
from accelerate import init_empty_weights
from diffusers import SchedulerMixin

from jobs.errors import ModelUnavailableError
from worker.models.adapters.delta import Delta
from worker.models.adapters.files import UNET
from worker.models.adapters.places import Places
from worker.models.device import Device
from worker.models.families.family import Family, Network, Parts, Tensors
from worker.models.loading.description import read_object
from worker.models.loading.digests import Digests
from worker.models.loading.files import weights_in
from worker.models.loading.header import outline
from worker.models.loading.layout import INDEX
from worker.models.loading.reading import read_tensors
from worker.models.loading.single_file import split
from worker.models.loading.weights import fill, require_own
from worker.models.networks.keeping import KEEPING, Keeping
from worker.models.shared import SharedNetworks

NOTHING: Mapping[str, Any] = {}
PLAINLY = Keeping()


@dataclass(frozen=True)
class _Source:
    """Where a network of a folder comes from.

    Attributes:
        network: what it has to be.
        folder: of its configuration.
        weights: files of them.
        delta: on them.
    """

    network: Network
    folder: Path
    weights: list[Path]
    delta: Delta | None = None

    @property
    def files(self) -> list[Path]:
        """All that decides what it is."""
        return [*self.folder.glob("*.json"), *self.weights, *(self.delta.files if self.delta else ())]

    def outline(self) -> Tensors:
        """Its tensors by their names, on the meta device."""
        own = self.network.renamed(outline(self.weights))
        return own if self.delta is None else self.delta.merged(own, outline(self.delta.weights))

    def read(self, device: Device, digests: Digests) -> Tensors:
        """The same on a device."""
        own = self.network.renamed(read_tensors(self.weights, device, digests))
        if self.delta is None:
            return own
        # Its factors in full, since their products add up.
        delta = read_tensors(self.delta.weights, device, digests, dtype=torch.float32)
        return self.delta.merged(own, delta)


def load_folder_parts(
    folder: Path,
    family: Family,
    variant: str | None,
    device: Device,
    shared: SharedNetworks,
    delta: Delta | None = None,
    keeping: Keeping = PLAINLY,
) -> Parts:
    """Load a diffusers folder.

    Args:
        folder: with a ``model_index.json``.
        family: of its checkpoint, or of the variant that the delta makes of it.
        variant: which weights to read, as for ``network_files``.
        device: where to.
        shared: networks in memory; those with the same files are not loaded again.
        delta: of its UNet.
        keeping: how its weights are kept.

    Raises:
        ModelUnavailableError: it is of a kind that is not served, or its parts do not fit their weights or each other.
    """
    places, weights = Places(folder, delta), weights_in(folder, family, variant, delta)
    networks = (family if delta is None else delta.family(family)).networks
    sources = {
        name: _Source(network, places.of(name), weights[name], delta if name == UNET else None)
        for name, network in networks.items()
    }
    if delta is not None:
        delta.require_base(weights[UNET], shared.digests)
    known = {
        name: found
        for name, source in sources.items()
        if not keeping.is_own(name) and (found := shared.find(source.files)) is not None
    }
    changes = {UNET: delta.config} if delta else {}
    parts = described(places, family, known, changes)
    for name, source in sources.items():
        if name not in known:
            at = device.home if keeping.is_own(name) else device
            require_own(parts[name], source.outline(), source.network.title)
            fill(parts[name], source.read(at, shared.digests), source.network.title, at)
            keeping.apply(name, parts[name])
            if not keeping.is_own(name):
                shared.add(source.files, parts[name])
    return {**parts, KEEPING: keeping}


def load_file_parts(
    file: Path, config: Path, family: Family, device: Device, digests: Digests, keeping: Keeping = PLAINLY
) -> Parts:
    """Load a checkpoint that is one file.

    Args:
        file: in the layout of the original release.
        config: a diffusers folder that describes it.
        family: of that folder.
        device: where to.
        digests: of files.
        keeping: how its weights are kept.

    Raises:
        ModelUnavailableError: as for ``load_folder_parts``.
    """
    parts = described(Places(config), family)
    for name, tensors in split(outline([file]), family, parts).items():
        require_own(parts[name], tensors, family.networks[name].title)
    at = device if keeping == PLAINLY else device.home
    prefixes = tuple(network.prefix for network in family.networks.values())
    checkpoint = read_tensors([file], at, digests, lambda key: key.startswith(prefixes))
    for name, tensors in split(checkpoint, family, parts).items():
        fill(parts[name], tensors, family.networks[name].title, at)
        keeping.apply(name, parts[name])
    return {**parts, KEEPING: keeping}


def described(
    places: Places,
    family: Family,
    known: Mapping[str, Any] = NOTHING,
    changes: Mapping[str, Mapping[str, Any]] = NOTHING,
) -> Parts:
    """The parts that a folder describes, fit for each other; networks that are not known have no weights yet.

    Args:
        places: of its parts.
        family: of its checkpoint.
        known: networks in memory.
        changes: fields of networks' configurations that are others.

    Raises:
        ModelUnavailableError: they are of a kind that is not served, or do not fit each other.
    """
    index = read_object(places.index / INDEX)
    _require_parts(index, family)
    parts = {name: _tokenizer(places.of(name), index[name][1]) for name in family.tokenizers}
    parts |= {
        name: known.get(name) or _empty(places.of(name), network, changes.get(name, NOTHING))
        for name, network in family.networks.items()
    }
    parts |= {name: read_object(places.of(name) / file) for name, file in family.described.items()}
    parts |= {name: index.get(name, value) for name, value in family.options.items()}
    parts["scheduler"] = _scheduler(places.of("scheduler"), index["scheduler"][1])
    family.require(parts)
    return parts


def _require_parts(index: Mapping[str, Any], family: Family) -> None:
    """Refuse a ``model_index.json`` that lacks a part, or names one of another class or one that is not served.

    Raises:
        ModelUnavailableError: it does.
    """
    classes = {**family.tokenizers, **{name: its.classes for name, its in family.networks.items()}}
    parts = {name: part[1] for name, part in index.items() if isinstance(part, list) and part[-1]}
    for name in (*classes, *family.described, "scheduler"):
        if name not in parts:
            raise ModelUnavailableError(f"its {INDEX} names no {name}")
    for name, allowed in classes.items():
        _require_class(name, parts[name], allowed)
    others = sorted(parts.keys() - classes.keys() - family.described.keys() - family.ignored - {"scheduler"})
    if others:
        raise ModelUnavailableError(f"it has parts that are not served: {', '.join(others)}")


def _require_class(part: str, name: Any, allowed: tuple[str, ...]) -> None:
    if name not in allowed:
        raise ModelUnavailableError(f"its {part} is a {name}, not a {allowed[0]}")


def _tokenizer(folder: Path, name: str) -> Any:
    if not folder.is_dir():
        raise ModelUnavailableError(f"there is no {folder.name}")  # transformers would look for it on the hub
    return getattr(transformers, name).from_pretrained(folder, local_files_only=True)


def empty_networks(places: Places, family: Family) -> dict[str, Any]:
    """The networks that folders describe, their weights on the meta device.

    Raises:
        ModelUnavailableError: one is of a kind that is not served.
    """
    return {name: _empty(places.of(name), network, NOTHING) for name, network in family.networks.items()}


def _empty(folder: Path, network: Network, changes: Mapping[str, Any]) -> Any:
    """A network as its configuration has it, its weights on the meta device."""
    config = read_object(folder / "config.json")
    _require_class(folder.name, config.get("_class_name", network.classes[0]), network.classes)
    network.require(config)
    with init_empty_weights():
        return network.empty(folder, **changes)


def _scheduler(folder: Path, name: str) -> Any:
    kind = getattr(diffusers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, SchedulerMixin)):
        raise ModelUnavailableError(f"its scheduler, a {name}, is not one of diffusers'")
    read_object(folder / "scheduler_config.json")
    return cast("Any", kind).from_pretrained(folder, local_files_only=True)
