"""The artifact store: any fsspec URL, a local folder by default."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from jobs.errors import ConfigurationError, UnknownImageError
from jobs.storage.files import write_new, write_whole

# All else is a local folder, and its path goes through no parser: "::" would mean a chain of stores to fsspec.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(://|::)|(file|local):/")


class ArtifactStore:
    """Files by key under one URL (``s3://bucket/prefix``, ...) or in a local folder of any name.

    Keys are made by us from job ids and numbers, never from a request; none of their parts begins with a dot. A reader
    sees a whole file or none. A file in a local folder gives no more rights than the folder. Addresses and
    credentials of remote stores come from the environment, each in its own ordinary way (``AWS_ENDPOINT_URL`` and
    friends for s3). Threads and forks may share a store.

    Raises:
        ConfigurationError: nothing here can open such a URL.
        OSError: from every method, when the store cannot be reached, is full, or refuses.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self._folder = None if _URL.match(url) else str(Path(url).expanduser().absolute())
            self._root: str = self._connect()[1].rstrip("/")
        except (
            ImportError,
            ValueError,
            RuntimeError,
        ) as error:  # RuntimeError: "~" of somebody without a home
            raise ConfigurationError(f"the artifact store {url!r} cannot be used: {error}") from error

    def put(self, key: str, data: bytes) -> None:
        """Store a file whole: a reader never sees half of it, and a failure leaves nothing behind."""
        fs, path = self._locate(key)
        if isinstance(fs, LocalFileSystem):
            write_whole(Path(path), data, umask=_hidden(self._root))
            return
        # Object stores publish an object when it is complete, and most need no folders.
        with _failing_as_os_error():
            try:
                fs.pipe_file(path, data)
            except FileNotFoundError:
                fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
                fs.pipe_file(path, data)

    def put_new(self, key: str, data: bytes) -> None:
        """Store a file whole that is not there yet; of several writers one succeeds.

        Object stores without conditional writes may let two succeed that try at the same moment.

        Raises:
            FileExistsError: there is such a file.
        """
        fs, path = self._locate(key)
        if isinstance(fs, LocalFileSystem):
            write_new(Path(path), data, umask=_hidden(self._root))
            return
        with _failing_as_os_error():
            if fs.exists(path):
                raise FileExistsError(f"{key} exists")
            try:
                fs.pipe_file(path, data, mode="create")
            except FileNotFoundError:
                fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
                fs.pipe_file(path, data, mode="create")

    def get(self, key: str) -> bytes:
        """The bytes of a file.

        Raises:
            UnknownImageError: there is no such file.
        """
        fs, path = self._locate(key)
        try:
            with _failing_as_os_error():
                data: bytes = fs.cat_file(path)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise UnknownImageError("the picture is no longer in the artifact store") from error
        return data

    @property
    def local_folder(self) -> Path | None:
        """The folder that it keeps its files in; None for a remote store."""
        return None if self._folder is None else Path(self._folder)

    @property
    def can_sign(self) -> bool:
        """Whether a store of this kind signs addresses, as S3 does and a local folder does not."""
        return type(self._connect()[0]).sign is not AbstractFileSystem.sign

    def signed_address(self, key: str, ttl_s: int) -> str:
        """An address at the store by which anyone gets a file for a while, if it ``can_sign``."""
        fs, path = self._locate(key)
        with _failing_as_os_error():
            address: str = fs.sign(path, expiration=ttl_s)
        return address

    def keys(self, prefix: str) -> list[str]:
        """All keys under a prefix (a job's id, or one execution's ``job/fence``), sorted."""
        fs, path = self._locate(prefix)
        with _failing_as_os_error():
            found = (
                _walked(path) if isinstance(fs, LocalFileSystem) and Path(path).is_dir() else fs.find(path)
            )
            keys = [name[len(self._root) + 1 :] for name in found]
        return sorted(key for key in keys if not PurePosixPath(key).name.startswith("."))

    def delete(self, prefix: str) -> None:
        """Remove everything under a prefix; nothing to remove is fine."""
        fs, path = self._locate(prefix)
        # Another deletion may take files away under this one's feet; what it has not reached is still ours to remove.
        with _failing_as_os_error():
            while fs.exists(path):
                with suppress(FileNotFoundError):
                    fs.rm(path, recursive=True)

    def _locate(self, key: str) -> tuple[Any, str]:
        parts = PurePosixPath(key).parts
        if not parts or parts[0] == "/" or any(part.startswith(".") for part in parts):
            raise ValueError(f"{key!r} is not a key")
        return self._connect()[0], "/".join((self._root, *parts))

    def _connect(self) -> tuple[Any, str]:
        if self._folder is not None:
            return LocalFileSystem(use_listings_cache=False), self._folder
        # Asked anew each time, for fsspec keeps one instance for each process (and thread, where one is not enough) and
        # an instance must not cross a fork. Without listings, since other processes write too.
        found: tuple[Any, str] = fsspec.url_to_fs(self._url, use_listings_cache=False)
        return found


def _walked(folder: str) -> Iterator[str]:
    """The files below a local folder; fsspec would ask for the size, owner and times of each."""

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # else deleted meanwhile
            raise error

    for place, _, names in os.walk(folder, onerror=fail):
        yield from (f"{place}/{name}" for name in names)


def _hidden(folder: str) -> int:
    """The rights to a folder's files that are worth nothing, since their holders cannot get through the folder."""
    try:
        rights = Path(folder).stat().st_mode
    except FileNotFoundError:
        return 0
    return (0 if rights & 0o070 else 0o070) | (0 if rights & 0o007 else 0o007)


@contextmanager
def _failing_as_os_error() -> Iterator[None]:
    """Remote stores let the errors of their own clients through: botocore's, for one, are no OSErrors."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"the artifact store failed: {error}") from error
