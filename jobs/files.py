"""Files of a local folder that are there whole or not at all."""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, data: bytes, *, umask: int = 0) -> None:
    """Write a file, and its folders: a reader never sees half of it, and a failure leaves nothing behind.

    Args:
        path: of the file.
        data: all that shall be in it.
        umask: rights that nobody gets to what is made, besides those that the umask of the process takes.

    Raises:
        OSError: it cannot be written.
    """
    _make_folder(path.parent, umask)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 & ~umask)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            # Or a power cut could leave an empty file under a published name.
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _make_folder(folder: Path, umask: int) -> None:
    try:
        folder.mkdir(mode=0o777 & ~umask, exist_ok=True)
    except FileNotFoundError:
        _make_folder(folder.parent, umask)
        folder.mkdir(mode=0o777 & ~umask, exist_ok=True)
