"""The command where only the client is installed."""

import subprocess
import sys

import pytest
from typer.main import get_command

from app.cli.main import cli as service
from lodestar.cli.commands import absent
from lodestar.cli.main import cli as client


def told(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


RUN = "from lodestar.cli.entry import main; main()"


@pytest.mark.parametrize("command", absent.NAMES)
def test_what_starts_the_service_says_how_to_install_it(command: str) -> None:
    done = told(RUN, command, "--port", "9")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"lodestar: {command} needs the service")
    assert "make up" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_its_packages_it_names_them(package: str) -> None:
    done = told(f"import sys; sys.modules[{package!r}] = None; {RUN}", "models")
    assert done.returncode == 1
    assert "pip install typer rich" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_service_has_every_command_that_is_absent_and_every_one_of_the_client() -> None:
    complete = get_command(service).commands  # type: ignore[attr-defined]
    alone = get_command(client).commands  # type: ignore[attr-defined]
    assert set(alone) <= set(complete)
    assert set(absent.NAMES) <= set(alone)
    assert {"generate", "wait", "jobs", "search", "embeddings", "bench"} <= set(alone)


def test_an_error_is_one_line() -> None:
    done = told(RUN, "models", "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("lodestar: there is no server at http://127.0.0.1:9")
    assert len(done.stderr.splitlines()) == 1
