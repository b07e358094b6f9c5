"""Atomic writes of files in a local folder."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, data: bytes, *, umask: int = 0) -> None:
    """Write a file, and its folders: a reader never sees half of it, and a failure leaves nothing behind.

    Args:
        path: of the file.
        data: all that shall be in it.
        umask: rights to withhold, besides those that the umask of the process withholds.

    Raises:
        OSError: it cannot be written.
    """
    with _written_beside(path, data, umask) as partial:
        partial.replace(path)


def write_new(path: Path, data: bytes, *, umask: int = 0) -> None:
    """The same for a file that must not be there yet; of several writers one succeeds.

    Raises:
        FileExistsError: there is such a file.
        OSError: it cannot be written.
    """
    with _written_beside(path, data, umask) as partial:
        os.link(partial, path)


@contextmanager
def _written_beside(path: Path, data: bytes, umask: int) -> Iterator[Path]:
    """A file in the same folder, under a name that nobody looks for; gone after the block."""
    _make_folder(path.parent, umask)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 & ~umask)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            # Or a power cut could leave an empty file under a published name.
            os.fsync(file.fileno())
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _make_folder(folder: Path, umask: int) -> None:
    try:
        folder.mkdir(mode=0o777 & ~umask, exist_ok=True)
    except FileNotFoundError:
        _make_folder(folder.parent, umask)
        folder.mkdir(mode=0o777 & ~umask, exist_ok=True)
