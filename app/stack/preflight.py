"""The checks before the service starts, each with one clear line of error."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from app.api.server.listener import listening, reason_of
from app.stack.folders import make_data_folder
from jobs import extras
from jobs.catalog.catalog import load_catalog
from jobs.db.connection import connect
from jobs.errors import ConfigurationError

LOCK_PATIENCE_S = 1.0  # a server whose supervisor was killed a moment ago is still writing its last


def check_models(file: Path) -> None:
    """Raise ConfigurationError unless the catalog is sound and every local model in it exists."""
    catalog = load_catalog(file)
    beside = (*catalog.adapters, *catalog.controls, *catalog.image_prompts, *catalog.textual_inversions)
    for entry in (*catalog.models, *catalog.clips, *beside):
        for place in entry.places:
            if not place.exists():
                raise ConfigurationError(f"{entry.id!r} of {file} is not there: {place} does not exist")


def check_worker() -> None:
    """Raise ConfigurationError unless the extra ``worker`` is installed."""
    if find_spec("torch") is None:  # finds its folder, and loads nothing
        raise ConfigurationError(extras.missing("a worker", "worker"))


def check_redis(url: str) -> None:
    """Raise ConfigurationError unless a server answers there."""
    from redis.exceptions import RedisError

    try:
        with connect(url, patient=False) as redis:
            redis.ping()
    except (RedisError, ValueError) as error:
        raise ConfigurationError(f"Redis at {_without_password(url)} cannot be reached: {error}") from error


def free_port(host: str) -> int:
    """A port that is free now."""
    return _try_port(host, 0)


def port_or_a_free_one(host: str, port: int) -> int:
    """This port if we can listen there, else one that is free now."""
    try:
        return _try_port(host, port)
    except OSError:
        return free_port(host)


def check_port(host: str, port: int) -> None:
    """Raise ConfigurationError unless we can listen there."""
    try:
        _try_port(host, port)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {reason_of(error).lower()}; choose another with --port"
        ) from error


def _try_port(host: str, port: int) -> int:
    with listening(host, port) as sockets:  # as the API will
        bound: int = sockets[0].getsockname()[1]
        return bound


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold a data folder for ourselves; the descriptor of its lock, which a child may keep open.

    Raises:
        ConfigurationError: another one holds it, or it cannot be written.
    """
    try:
        make_data_folder(folder)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(f"the data folder {folder} cannot be used: {error.strerror}") from error
    try:
        _lock(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    patience_ends = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > patience_ends:
                holder = os.pread(descriptor, 20, 0).decode() or "unknown"
                raise ConfigurationError(
                    f"the data folder {folder} is in use by another lodestar (pid {holder}); "
                    "choose another one with --data-dir"
                ) from error
            time.sleep(0.1)


def _without_password(url: str) -> str:
    scheme, _, rest = url.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
