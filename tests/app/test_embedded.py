import os
import signal
import stat
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from app.embedded import LONGEST_SOCKET_PATH, socket_path, socket_url, valkey_spec
from app.supervisor import Supervisor
from jobs.connection import connect


def test_the_socket_lies_with_the_data(tmp_path: Path) -> None:
    folder = Path("/srv/lodestar/valkey")
    with socket_path(folder) as path:
        assert path == folder / "valkey.sock"


def test_a_deep_data_folder_gets_a_short_private_socket_path() -> None:
    with socket_path(Path("/srv") / ("deep" * 40)) as path:
        assert len(os.fsencode(path)) <= LONGEST_SOCKET_PATH
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()


def test_what_was_acknowledged_survives_the_killing_of_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "with space" / "valkey"
    lock = os.open(tmp_path / "lock", os.O_CREAT)
    with (
        socket_path(folder) as socket,
        Supervisor(tmp_path, say=print) as supervisor,
        connect(socket_url(socket), patient=False) as redis,
    ):
        child = supervisor.start(valkey_spec(folder, socket, lock=lock))
        _until_it_answers(supervisor, redis)
        assert {redis.config_get(name)[name] for name in ("appendonly", "save", "port")} == {"yes", "", "0"}
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        for number in range(100):
            redis.set(f"key-{number}", number)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        supervisor.sleep(0.5)
        _until_it_answers(supervisor, redis)
        assert redis.dbsize() == 100
    os.close(lock)


def _until_it_answers(supervisor: Supervisor, redis: Redis) -> None:
    for _ in range(100):
        try:
            redis.ping()
        except RedisError:
            supervisor.sleep(0.1)
        else:
            return
    pytest.fail("the server does not answer")
