"""The client's distribution, installed where nothing else is, against a running service."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.stack import ROOT, Stack

pytestmark = pytest.mark.slow("makes an environment of its own and downloads what the client needs")

LIBRARY = """
import asyncio, sys
from lodestar import AsyncClient, Client, ClientError

url = sys.argv[1]
with Client(url) as client:
    (picture,) = client.generate("a red apple", seed=7, steps=5, guidance="fast")
    picture.save("apple.png")
    try:
        client.submit("a red apple", model="nope")
    except ClientError as error:
        assert (error.kind, error.field) == ("unknown_model", "model"), vars(error)

async def again():
    async with AsyncClient(url) as client:
        return [each.data async for each in await client.generate("a red apple", seed=7, steps=5, guidance="fast")]

assert asyncio.run(again()) == [picture.data]
"""


def told(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    env |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "HTTP", "SSL"))}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)


def pip_of(python: Path) -> tuple[str | Path, ...]:
    """Our pip at work in another environment, which takes half the time of one that gets its own."""
    return sys.executable, "-m", "pip", "--python", python


def installed(python: Path, *packages: str, cwd: Path) -> None:
    done = told(*pip_of(python), "install", "--quiet", "--no-compile", *packages, cwd=cwd)
    if done.returncode and "Could not find a version" in done.stderr and not os.environ.get("CI"):
        pytest.skip("needs a package index")
    assert done.returncode == 0, done.stderr


def built(target: str, project: Path, folder: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made from the source distribution as a package index would have it."""
    folder = tmp_path_factory.mktemp("dist")
    built("sdist", ROOT / "lodestar", folder)
    (archive,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(archive, folder, filter="data")
    built("wheel", folder / archive.name.removesuffix(".tar.gz"), folder)
    (made,) = folder.glob("*.whl")
    return made


def test_it_draws_without_the_service_s_packages(stack: Stack, wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    lodestar = python.with_name("lodestar")
    made = told(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    installed(python, str(wheel), cwd=tmp_path)

    done = told(python, "-c", LIBRARY, stack.url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "apple.png").read_bytes().startswith(b"\x89PNG")
    bare = told(lodestar, "models", cwd=tmp_path)
    assert (bare.returncode, bare.stderr.partition(": ")[0]) == (1, "lodestar")
    assert "needs two more packages" in bare.stderr

    installed(python, f"{wheel}[cli]", cwd=tmp_path)
    done = told(
        lodestar, "generate", "a red apple", "--steps", "5", "-o", "fox.png", "--url", stack.url, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "fox.png\n"), done.stderr
    assert (tmp_path / "fox.png").read_bytes().startswith(b"\x89PNG")
    for command in ("up", "serve", "worker"):
        done = told(lodestar, command, "--port", "1", cwd=tmp_path)
        assert done.returncode == 1
        assert f"{command} needs the service" in done.stderr
    names = told(*pip_of(python), "list", "--format", "freeze", cwd=tmp_path).stdout.lower()
    assert "httpx==" in names
    assert not {"redis", "rq", "torch", "fastapi", "numpy"} & {
        line.partition("==")[0] for line in names.splitlines()
    }
