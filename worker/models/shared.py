"""Networks that several models have in common, found by the digest of their files."""

import hashlib
import weakref
from collections.abc import Sequence
from pathlib import Path

import torch


class SharedNetworks:
    """The networks in memory by the digest of their files: the same VAE under two models is one object.

    It keeps none of them alive: a network goes with the last model that has it.
    """

    def __init__(self) -> None:
        self._networks: weakref.WeakValueDictionary[str, torch.nn.Module] = weakref.WeakValueDictionary()

    def find(self, digest: str) -> torch.nn.Module | None:
        """The network that was loaded from files of this digest, if it still is in memory."""
        return self._networks.get(digest)

    def add(self, digest: str, network: torch.nn.Module) -> None:
        """A network has been loaded from files of this digest."""
        self._networks[digest] = network


def digest(files: Sequence[Path]) -> str:
    """The SHA-256 of files and their names, whatever folder they are in."""
    whole = hashlib.sha256()
    for file in sorted(files):
        whole.update(f"{file.name}\0{sha256(file)}\n".encode())
    return whole.hexdigest()


def sha256(file: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
