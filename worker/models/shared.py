"""Networks that several models have in common, found by the content of their files."""

import copy
import hashlib
import json
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from worker.models.loading.digests import SMALL_BYTES, Digests

Network = TypeVar("Network", bound=torch.nn.Module)


def sharing_copy(network: Network) -> Network:
    """A copy of a network's modules that has the same tensors, so that its modules may be of other classes."""
    tensors: dict[int, Any] = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, tensors)


# Fields of a configuration that say who wrote it, from what, and in which format; a fine-tune differs in them from the
# model that it was made of, although the network is the same.
_PROVENANCE = frozenset(
    ("_name_or_path", "_commit_hash", "_diffusers_version", "transformers_version", "torch_dtype", "dtype")
)


@dataclass(frozen=True)
class _File:
    """A file as it was when a network was loaded from it.

    Attributes:
        name: without its folder.
        status: of the file system.
        digest: of a configuration's fields, or of a small file; None for weights, whose digest may still be computed.
    """

    name: str
    status: os.stat_result
    digest: str | None

    @property
    def key(self) -> tuple[str, int]:
        """What equal files have in common, without reading weights."""
        return self.name, 0 if _is_configuration(self.name) else self.status.st_size


@dataclass(frozen=True)
class _Loaded:
    network: weakref.ref[torch.nn.Module]
    files: tuple[_File, ...]


class SharedNetworks:
    """The networks in memory by the content of their files: the same VAE under two models is one object.

    Of configurations the fields count, but for those that tell a file's history.

    It keeps none of them alive: a network goes with the last model that has it.

    Attributes:
        digests: of files.
    """

    def __init__(self, digests: Digests | None = None) -> None:
        self.digests = digests or Digests()
        self._loaded: list[_Loaded] = []

    def find(self, files: Sequence[Path]) -> torch.nn.Module | None:
        """The network that was loaded from files of these names and contents, if it still is in memory.

        Files are hashed only if those of a network in memory have their names and sizes.
        """
        asked = sorted(((self._file(file), file) for file in files), key=lambda each: each[0].key)
        for loaded in self._loaded:
            network = loaded.network()
            if network is not None and [each.key for each in loaded.files] == [own.key for own, _ in asked]:
                contents = [own.digest or self.digests.of(file) for own, file in asked]
                if contents == [each.digest or self.digests.known(each.status) for each in loaded.files]:
                    return network
        return None

    def add(self, files: Sequence[Path], network: torch.nn.Module) -> None:
        """A network has been loaded from these files."""
        self._loaded = [loaded for loaded in self._loaded if loaded.network() is not None]
        self._loaded.append(
            _Loaded(weakref.ref(network), tuple(sorted(map(self._file, files), key=lambda each: each.key)))
        )

    def _file(self, file: Path) -> _File:
        status = file.stat()
        if _is_configuration(file.name):
            return _File(file.name, status, _digest_of_fields(file))
        return _File(file.name, status, self.digests.of(file) if status.st_size <= SMALL_BYTES else None)


def _is_configuration(name: str) -> bool:
    return name.endswith(".json")


def _digest_of_fields(file: Path) -> str:
    """The SHA-256 of a configuration without the fields of its history; of its bytes if it is no JSON object."""
    content = file.read_bytes()
    try:
        fields = json.loads(content)
    except ValueError:
        return hashlib.sha256(content).hexdigest()
    if isinstance(fields, dict):
        fields = {name: value for name, value in fields.items() if name not in _PROVENANCE}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
