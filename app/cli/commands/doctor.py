"""The command that says what is wrong with an installation, before or after something failed."""

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from app.cli.commands.processes import DataDir, Models, RedisUrl
from jobs.errors import ConfigurationError
from lodestar.cli.connection import DEFAULT_URL, Url
from lodestar.cli.exits import Exit

if TYPE_CHECKING:
    import httpx

commands = typer.Typer()

LEAST_FREE_BYTES = 1 << 30
PATIENCE_S = 5.0
EXTRAS = {"search": "faiss-cpu", "xformers": "xformers"}  # what they make better, and the package
MISSING = {
    "search": "not installed: pictures cannot be searched; pip install '.[search]' in the checkout",
    "xformers": "not installed: GPUs may be slower without it; CPUs do not need it",
}


@commands.command()
def doctor(
    models: Models = Path("models.toml"),
    data_dir: DataDir = Path("data"),
    redis_url: RedisUrl = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Check this installation: packages, devices, weights, Redis, room on the disk, the service at --url.

    A line for each: `ok`, `note` where something is not there that may be left out, or `wrong` with what to do. Exit
    code 1 if something is wrong.
    """
    checks: dict[str, Callable[[], str]] = {
        "python": platform.python_version,
        "torch": _torch,
        "device": _device,
        "models": lambda: _models(models),
        "redis": lambda: _redis(redis_url),
        "disk": lambda: _disk(data_dir),
    }
    is_wrong = False
    for name, check in checks.items():
        try:
            _tell("ok", name, check())
        except ConfigurationError as error:
            is_wrong = True
            _tell("wrong", name, error.message)
    for name, detail in (*_extras(), ("service", _service(url))):
        _tell("note", name, detail)
    raise typer.Exit(Exit.ERROR if is_wrong else Exit.DONE)


def _tell(mark: str, name: str, detail: str) -> None:
    typer.echo(f"{mark}\t{name}\t{detail}")


def _torch() -> str:
    from app.stack.preflight import check_worker

    check_worker()
    return version("torch")


def _device() -> str:
    from app.stack.hardware import cores, gpus

    found = gpus(os.environ)
    if not found and _version_of("torch").endswith("+cpu") and shutil.which("nvidia-smi"):
        raise ConfigurationError(
            "there is an NVIDIA driver, and the installed torch is the one for CPUs: install another build of torch"
        )
    return f"CUDA: {', '.join(found)}" if found else f"CPU with {cores()} cores; no NVIDIA GPU is found"


def _models(file: Path) -> str:
    from app.stack.preflight import check_models
    from jobs.catalog.catalog import load_catalog

    check_models(file)
    return f"{', '.join(card.id for card in load_catalog(file).models)} of {file.absolute()}"


def _redis(url: str | None) -> str:
    from app.stack.embedded import find_server
    from app.stack.preflight import check_redis

    if url is None:
        return f"the embedded server, {find_server()}"
    check_redis(url)
    return "it answers"


def _disk(folder: Path) -> str:
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if not os.access(there, os.W_OK):
        raise ConfigurationError(f"{there} cannot be written: choose another folder with --data-dir")
    if free < LEAST_FREE_BYTES:
        raise ConfigurationError(
            f"{free >> 20} MiB are free in {there}: make room, or choose another --data-dir"
        )
    return f"{free >> 30} GiB are free in {there}"


def _extras() -> Iterator[tuple[str, str]]:
    for name, package in EXTRAS.items():
        yield name, _version_of(package) or MISSING[name]


def _service(url: str) -> str:
    """How the service at this address does, if there is one."""
    import httpx

    from lodestar.http.connection import address, http_options

    place = address(url)
    try:
        with httpx.Client(**http_options(place, None, PATIENCE_S)) as http:
            return f"{place} {_readiness(http.get('/readyz'))}"
    except (httpx.HTTPError, httpx.InvalidURL):
        return f"none answers at {place}; start one with: lodestar up"


def _readiness(answer: "httpx.Response") -> str:
    try:
        told = answer.json()
        checks, workers = told["checks"], told["workers"]
        stale = told.get("catalog", {}).get("detail")
    except (ValueError, KeyError, TypeError):
        return "is another service"
    wrong = [f"{name}: {check['detail']}" for name, check in checks.items() if not check["ok"]]
    if wrong:
        return f"is not ready: {'; '.join(wrong)}"
    return f"is ready, with {workers} workers" + (f", and serves a former catalog: {stale}" if stale else "")


def _version_of(package: str) -> str:
    """The version of an installed package; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
