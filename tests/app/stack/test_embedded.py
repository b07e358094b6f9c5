import os
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker

from app.api.settings import ApiSettings
from app.stack.embedded import socket_path, socket_url, valkey_spec
from app.stack.supervisor import Supervisor
from jobs.db.connection import bytes_twin, connect
from jobs.storage.artifacts import ArtifactStore
from tests.app.hostile_names import HOSTILE_NAMES


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short and plain path, as pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        yield Path(folder)


@contextmanager
def running(folder: Path) -> Iterator[tuple[Supervisor, Redis]]:
    """A server on this folder, and a client of it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_CREAT)
    with (
        socket_path(folder / "valkey") as socket,
        Supervisor(folder, say=print) as supervisor,
        connect(socket_url(socket), patient=False) as redis,
    ):
        supervisor.start(valkey_spec(folder / "valkey", socket, lock=lock))
        _until_it_answers(supervisor, redis)
        yield supervisor, redis
    os.close(lock)


def test_the_socket_lies_with_the_data(short: Path) -> None:
    with socket_path(short / "valkey") as path:
        assert path == short / "valkey" / "valkey.sock"


def test_a_data_folder_that_cannot_take_it_gets_a_private_one_for_the_socket(short: Path) -> None:
    with socket_path(short / ("deep" * 40)) as path:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert path.parent.parent != short
    assert not path.parent.exists()


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_the_server_a_worker_and_the_pictures_do_in_a_folder_of_any_name(short: Path, name: str) -> None:
    folder = short / name / "data"
    with running(folder) as (_, redis):
        redis.set("key", "value")
        assert list((folder / "valkey" / "appendonlydir").iterdir())
        raw = bytes_twin(redis)
        assert SimpleWorker([Queue(connection=raw)], connection=raw, name="worker").hostname
    store = ArtifactStore(str(folder / "artifacts"))
    store.put("job/1-ab/0.png", b"picture")
    assert (folder / "artifacts/job/1-ab/0.png").read_bytes() == b"picture"
    assert (store.get("job/1-ab/0.png"), store.keys("job")) == (b"picture", ["job/1-ab/0.png"])
    store.delete("job")
    assert store.keys("job") == []


def test_what_was_acknowledged_survives_the_killing_of_the_server(tmp_path: Path) -> None:
    with running(tmp_path / "with space") as (supervisor, redis):
        (child,) = supervisor.children
        assert {redis.config_get(name)[name] for name in ("appendonly", "save", "port")} == {"yes", "", "0"}
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        of_machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert (
            ApiSettings().max_kept_bytes
            < int(str(redis.config_get("maxmemory")["maxmemory"]))
            <= of_machine / 4
        )
        for number in range(100):
            redis.set(f"key-{number}", number)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        supervisor.sleep(0.5)
        _until_it_answers(supervisor, redis)
        assert redis.dbsize() == 100


def test_what_comes_and_goes_does_not_pile_up_on_the_disk(tmp_path: Path) -> None:
    with running(tmp_path) as (_, redis):
        for _ in range(3):
            for number in range(24):
                redis.set("job", bytes([number]) * (1 << 20))
            redis.delete("job")
            end = time.monotonic() + 60
            while _bytes_in(tmp_path / "valkey") > 16 << 20:  # not for long: the file is then rewritten
                assert time.monotonic() < end
                time.sleep(0.1)


def test_what_a_killed_server_left_half_written_is_removed_by_the_next_one(tmp_path: Path) -> None:
    leftover = tmp_path / "valkey" / "temp-rewriteaof-bg-1.aof"
    leftover.parent.mkdir()
    leftover.touch()
    with running(tmp_path):
        assert not leftover.exists()


def test_the_data_is_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "valkey").mkdir(mode=0o755)
    with running(tmp_path) as (_, redis):
        redis.set("key", "value")
    found = [tmp_path / "valkey", *(tmp_path / "valkey").rglob("*")]
    assert len(found) > 2
    assert [path for path in found if path.stat().st_mode & 0o077] == []


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*.aof"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def _until_it_answers(supervisor: Supervisor, redis: Redis) -> None:
    for _ in range(100):
        try:
            redis.ping()
        except RedisError:
            supervisor.sleep(0.1)
        else:
            return
    pytest.fail("the server does not answer")
