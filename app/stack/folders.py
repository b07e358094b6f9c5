"""Folders of the service: their rights, and the paths that every parser can handle."""

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jobs.errors import ConfigurationError

LONGEST_SOCKET_PATH = 100  # bytes; the kernel takes 107 on Linux and 103 on macOS
SOCKET = "valkey.sock"

# Redis prints the path of its socket in lists that clients split at blanks and "=", and they find it by a URL.
_PLAIN = re.compile(r"[A-Za-z0-9_./+@,-]+", re.ASCII)
_OURS = frozenset({"lock", "valkey", "artifacts", "logs", "assets"})


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may read, or take the others' rights to one that is there.

    Raises:
        ConfigurationError: it cannot be made.
    """
    _make(folder)
    with suppress(OSError):  # it is another user's, or its file system knows no rights
        folder.chmod(folder.stat().st_mode & 0o700)


def make_data_folder(folder: Path) -> None:
    """Make the data folder, private as ``make_private``; one in which other things lie, too, keeps its rights.

    Raises:
        ConfigurationError: it cannot be made.
    """
    _make(folder)
    if {entry.name for entry in folder.iterdir()} <= _OURS:
        make_private(folder)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A private folder that takes a socket; removed at the end.

    Raises:
        ConfigurationError: there is no place for one.
    """
    folder = _make_temporary()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def spelled_in_utf8(folder: Path) -> Iterator[Path]:
    """The folder under a path that is text: itself, or a temporary link to one whose name is other bytes.

    Linux takes any bytes as a name, but settings, URLs and the libraries that read models want text.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        with temporary_folder() as place:
            link = place / "folder"
            link.symlink_to(folder)
            yield link
    else:
        yield folder


def takes_a_socket(folder: Path) -> bool:
    """Whether the server's socket may lie in a folder: its path is short and plain, and its file system has sockets."""
    path = folder / SOCKET
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH or not _PLAIN.fullmatch(str(path)):
        return False
    trial = folder / "trial.sock"
    try:
        trial.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(trial))
    except OSError:
        return False
    trial.unlink()
    return True


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the folder {folder} cannot be used: {error.strerror}") from error


def _make_temporary() -> Path:
    places = dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp"))
    for place in places:
        try:
            folder = Path(tempfile.mkdtemp(prefix="lodestar-", dir=place))
        except OSError:
            continue
        if takes_a_socket(folder):
            return folder
        folder.rmdir()
    raise ConfigurationError(
        f"no folder for a socket can be made in {' or '.join(places)}; "
        "set TMPDIR to one with a short and plain name that you may write to"
    )
