"""The Valkey that ``lodestar up`` runs, for commands that know only its data folder."""

from pathlib import Path

from jobs.errors import ConfigurationError


def private_server(data_dir: Path) -> str:
    """URL of the server on a data folder.

    Raises:
        ConfigurationError: none runs there.
    """
    from app.stack.embedded import socket_url
    from app.stack.folders import SOCKET

    socket = data_dir.absolute() / "valkey" / SOCKET
    if not socket.exists():
        raise ConfigurationError(
            f"no lodestar up runs on the data folder {data_dir.absolute()}; name another with --data-dir, or a server "
            "with --redis-url"
        )
    return socket_url(socket.resolve())  # it may be elsewhere, where a path was too long or odd for a socket
