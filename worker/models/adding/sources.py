"""Where a model is to be added from: a folder of this machine, or a repository of the hub."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from torch import Tensor

from jobs.errors import ConfigurationError, ModelUnavailableError
from worker.models.adding.downloading import fetch, missing_bytes
from worker.models.adding.ranges import remote_rows
from worker.models.adding.reporting import Progress
from worker.models.adding.repository import Repository, find
from worker.models.loading.description import names_in
from worker.models.loading.digests import Digests
from worker.models.loading.header import outline

_HUB = re.compile(
    r"(?:https?://[^/]+/)?(?P<id>[\w.-]+/[\w.-]+?)(?:(?:@|/tree/)(?P<revision>[\w./-]+))?/?", re.ASCII
)
WEIGHTS = ".safetensors"


class Source(Protocol):
    """A folder of files, read before it is fetched.

    Attributes:
        title: for messages.
        names: of its files, relative, with slashes.
    """

    title: str
    names: Sequence[str]

    def described(self, names: Iterable[str]) -> Path:
        """A folder that has these small files."""

    def outline(self, names: Iterable[str]) -> dict[str, Tensor]:
        """The tensors of safetensors files on the meta device."""

    def rows(self, name: str, key: str, begin: int, end: int) -> Tensor:
        """Rows of a matrix in a file."""

    def missing_bytes(self, names: Iterable[str]) -> int:
        """How much of files is not on this machine."""

    def fetched(self, names: Iterable[str], digests: Digests, progress: Progress) -> dict[str, str]:
        """Have files on this machine; the SHA-256 of those with weights."""

    def entry(self) -> dict[str, Any]:
        """The fields of the catalog that name it; a path is absolute."""


class FolderSource:
    """A folder, or one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.title = str(path)
        self._folder = path if path.is_dir() else path.parent
        self.names: Sequence[str] = tuple(names_in(path)) if path.is_dir() else (path.name,)

    def described(self, names: Iterable[str]) -> Path:  # noqa: ARG002 -- they are all there
        return self._folder

    def outline(self, names: Iterable[str]) -> dict[str, Tensor]:
        return outline(self._folder / name for name in names)

    def rows(self, name: str, key: str, begin: int, end: int) -> Tensor:
        with safe_open(self._folder / name, framework="pt") as file:
            rows: Tensor = file.get_slice(key)[begin:end]
        return rows.to(torch.float32)

    def missing_bytes(self, names: Iterable[str]) -> int:  # noqa: ARG002 -- likewise
        return 0

    def fetched(
        self,
        names: Iterable[str],
        digests: Digests,
        progress: Progress,  # noqa: ARG002 -- likewise
    ) -> dict[str, str]:
        return {name: digests.of(self._folder / name) for name in names if name.endswith(WEIGHTS)}

    def entry(self) -> dict[str, Any]:
        return {"path": str(self._path.absolute())}


class HubSource:
    """A repository."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.title = f"{repository.id} at {repository.commit[:10]}"
        self.names: Sequence[str] = tuple(repository.files)

    def described(self, names: Iterable[str]) -> Path:
        folder = None
        for name in names:
            file = self.repository.cached(name)
            folder = file.parents[name.count("/")]
        if folder is None:
            raise ModelUnavailableError("nothing describes it")
        return folder

    def outline(self, names: Iterable[str]) -> dict[str, Tensor]:
        return self.repository.outline(names)

    def rows(self, name: str, key: str, begin: int, end: int) -> Tensor:
        return remote_rows(self.repository, name, key, begin, end)

    def missing_bytes(self, names: Iterable[str]) -> int:
        return missing_bytes(self.repository, names)

    def fetched(self, names: Iterable[str], digests: Digests, progress: Progress) -> dict[str, str]:
        large = {}
        for name in names:
            fetch(self.repository, name, digests, progress)
            if name.endswith(WEIGHTS) and (digest := self.repository.files[name].sha256):
                large[name] = digest
        return large

    def entry(self) -> dict[str, Any]:
        return {"hub": self.repository.id, "revision": self.repository.commit}


def source_of(wanted: str) -> Source:
    """The source that a person means: a path that exists, else an id of the hub, with ``@revision`` or without.

    Raises:
        ConfigurationError: it is neither, or there is no such repository or revision.
        DownloadError: the hub cannot be asked.
    """
    path = Path(wanted).expanduser()
    if path.exists():
        if path.is_file() and path.suffix != WEIGHTS:
            raise ConfigurationError(
                f"{path.name} is not a .safetensors file; other formats can run code when they are read"
            )
        return FolderSource(path)
    found = _HUB.fullmatch(wanted)
    if found is None or path.suffix == WEIGHTS:
        raise ConfigurationError(
            f"{wanted!r} is no folder or .safetensors file that exists, and no id of the hub, such as owner/name"
        )
    return HubSource(find(found["id"], found["revision"]))
