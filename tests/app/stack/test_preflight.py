import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.stack.preflight import check_models, check_port, check_redis, free_port, locked, port_or_a_free_one
from jobs.errors import ConfigurationError


def test_a_model_that_is_not_on_disk_is_named(models_file: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"'pocket' of .* is not there: .*models/pocket does not exist"
    ):
        check_models(models_file)


def test_models_that_are_on_disk_or_on_the_hub_are_fine(models_file: Path) -> None:
    for folder in ("pocket", "pocket-m", "pocket-s"):
        (models_file.parent / "models" / folder).mkdir(parents=True)
    check_models(models_file)


def test_a_port_in_use_is_refused_and_another_one_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            ConfigurationError, match=f"cannot listen on 127.0.0.1 port {port}: address already in use"
        ):
            check_port("127.0.0.1", port)
        assert port_or_a_free_one("127.0.0.1", port) != port
    assert port_or_a_free_one("127.0.0.1", port) == port


def test_an_address_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot listen on no-such-host"):
        check_port("no-such-host.invalid", 8000)


def test_redis_away_is_one_line_without_the_password(hasty: None) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_redis(f"redis://:secret@127.0.0.1:{free_port('127.0.0.1')}/0")
    assert "\n" not in raised.value.message
    assert "secret" not in raised.value.message


def test_a_url_of_no_known_kind_is_one_line() -> None:
    with pytest.raises(ConfigurationError, match="the address of Redis is wrong"):
        check_redis("ftp://somewhere")


def test_redis_that_answers_is_fine(redis_url: str) -> None:
    check_redis(redis_url)


def test_a_data_folder_belongs_to_one_service(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(ConfigurationError, match=rf"in use by another lodestar \(pid {os.getpid()}\)"),
        locked(tmp_path),
    ):
        pytest.fail("it was locked twice")
    with locked(tmp_path):
        pass


def test_a_data_folder_stays_locked_while_a_child_lives_that_writes_to_it(tmp_path: Path) -> None:
    with locked(tmp_path) as descriptor:
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(descriptor,)
        )
    with child, pytest.raises(ConfigurationError, match="in use"), locked(tmp_path):
        pytest.fail("it was locked although the child lives")
    with locked(tmp_path):
        pass


def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be used: "), locked(tmp_path / "file" / "data"):
        pytest.fail("it was locked")
