"""Networks that several models have in common, found by the content of their files."""

import hashlib
import weakref
from collections.abc import Sequence
from pathlib import Path

import torch

from worker.models.loading.digests import Digests


class SharedNetworks:
    """The networks in memory by the content of their files: the same VAE under two models is one object.

    It keeps none of them alive: a network goes with the last model that has it.

    Attributes:
        digests: of files.
    """

    def __init__(self, digests: Digests | None = None) -> None:
        self.digests = digests or Digests()
        self._networks: weakref.WeakValueDictionary[tuple[int, str], torch.nn.Module] = (
            weakref.WeakValueDictionary()
        )

    def find(self, files: Sequence[Path]) -> torch.nn.Module | None:
        """The network that was loaded from files of this content, if it still is in memory.

        The files are hashed only if a network of as many bytes is there.
        """
        size = _size(files)
        if all(known != size for known, _ in self._networks.keys()):  # noqa: SIM118 (no mapping's view)
            return None
        return self._networks.get((size, self._digest(files)))

    def add(self, files: Sequence[Path], network: torch.nn.Module) -> None:
        """A network has been loaded from these files."""
        self._networks[_size(files), self._digest(files)] = network

    def _digest(self, files: Sequence[Path]) -> str:
        """The SHA-256 of files and their names, whatever folder they are in."""
        whole = hashlib.sha256()
        for file in sorted(files):
            whole.update(f"{file.name}\0{self.digests.of(file)}\n".encode())
        return whole.hexdigest()


def _size(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)
