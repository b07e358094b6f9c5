"""Networks that several models have in common, found by the content of their files."""

import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from worker.models.loading.digests import SMALL_BYTES, Digests


@dataclass(frozen=True)
class _File:
    """A file as it was when a network was loaded from it."""

    name: str
    status: os.stat_result
    digest: str | None  # of a small file; that of weights may still be computed


@dataclass(frozen=True)
class _Loaded:
    network: weakref.ref[torch.nn.Module]
    files: tuple[_File, ...]


class SharedNetworks:
    """The networks in memory by the content of their files: the same VAE under two models is one object.

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
        asked = sorted((file.name, file.stat().st_size, file) for file in files)
        for loaded in self._loaded:
            known = [(file.name, file.status.st_size) for file in loaded.files]
            network = loaded.network()
            if network is not None and known == [each[:2] for each in asked]:
                contents = [self.digests.of(file) for _, _, file in asked]
                if contents == [file.digest or self.digests.known(file.status) for file in loaded.files]:
                    return network
        return None

    def add(self, files: Sequence[Path], network: torch.nn.Module) -> None:
        """A network has been loaded from these files."""
        self._loaded = [loaded for loaded in self._loaded if loaded.network() is not None]
        self._loaded.append(
            _Loaded(weakref.ref(network), tuple(self._file(file) for file in sorted(files, key=_key)))
        )

    def _file(self, file: Path) -> _File:
        status = file.stat()
        return _File(file.name, status, self.digests.of(file) if status.st_size <= SMALL_BYTES else None)


def _key(file: Path) -> tuple[str, int]:
    return file.name, file.stat().st_size
