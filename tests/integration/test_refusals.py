"""A service that cannot start prints one line on stderr, and leaves nothing behind."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from app.stack.preflight import free_port, locked
from tests.forked_commands import forked_commands

CATALOG = """
[models.any]
path = "."
clip = "any"
width = 64
height = 64
min_px = 64
max_px = 64

[clips.any]
path = "{clip}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a catalog whose models are there."""
    (tmp_path / "models.toml").write_text(CATALOG.format(clip="."))
    return tmp_path


Refused = Callable[..., str]


@pytest.fixture(scope="module")
def lodestar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The command line."""
    shim = tmp_path_factory.mktemp("bin") / "lodestar"
    with forked_commands(shim):
        yield shim


@pytest.fixture
def refused(lodestar: Path) -> Refused:
    """The one line with which `lodestar up` refuses to start."""
    return partial(line_of, lodestar)


def line_of(lodestar: Path, folder: Path, *options: str) -> str:
    done = subprocess.run(
        [lodestar, "up", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    return line


def test_a_port_in_use(folder: Path, refused: Refused) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        line = refused(folder, "--port", port)
    assert (
        line
        == f"lodestar: cannot listen on 127.0.0.1 port {port}: address already in use; choose another with --port"
    )


def test_no_catalog(tmp_path: Path, refused: Refused) -> None:
    assert refused(tmp_path, "--port", "0") == "lodestar: the model catalog models.toml does not exist"


def test_a_missing_model_folder(folder: Path, refused: Refused) -> None:
    (folder / "models.toml").write_text(CATALOG.format(clip="models/clip"))
    line = refused(folder, "--port", "0")
    assert line == f"lodestar: 'any' of models.toml is not there: {folder}/models/clip does not exist"


def test_redis_away(folder: Path, refused: Refused) -> None:
    url = f"redis://127.0.0.1:{free_port('127.0.0.1')}/0"
    line = refused(folder, "--port", "0", "--redis-url", url)
    assert line.startswith(f"lodestar: Redis at {url} cannot be reached: ")


def test_a_data_folder_in_use(folder: Path, refused: Refused) -> None:
    with locked(folder / "data"):
        line = refused(folder, "--port", "0")
    assert line.startswith(f"lodestar: the data folder {folder}/data is in use by another lodestar (pid ")
