"""Environments with one client each, made from pinned versions and kept in ``.clients/`` of the checkout."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clients.roster import HERE, JAVASCRIPT, TYPESCRIPT
from benchmarks.places import ROOT

PINS = HERE / "environments"
KEPT = ROOT / ".clients"
_DONE = "installed"  # a file, written last: without it an environment is made anew
_TIMEOUT_S = 1200


class InstallationError(Exception):
    """A client could not be installed."""


def python_of(name: str | None) -> Path:
    """The interpreter of an environment, which is made if it is not there; this process's own without a name.

    Raises:
        InstallationError: pip fails.
    """
    if name is None:
        return Path(sys.executable)
    pins = PINS / f"{name}.txt"
    folder = _kept(name, [pins])
    python = folder / "bin" / "python"
    if not (folder / _DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", str(pins)])
        (folder / _DONE).touch()
    return python


def javascript_folder(source: Path = JAVASCRIPT) -> Path:
    """A folder with the packages of a ``package.json``, by its lock, and with the modules beside it.

    Raises:
        InstallationError: npm fails, or there is none.
    """
    described = [source / "package.json", source / "package-lock.json"]
    folder = _kept(source.name, described)
    if not (folder / _DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in described:
            shutil.copy(file, folder)
        _run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder)
        (folder / _DONE).touch()
    for file in source.iterdir():
        if file.is_file() and file not in described:
            shutil.copy(file, folder)
    return folder


def version_of(package: str, pins: Path) -> str:
    """The pinned version of a package, from a file of requirements or a lock of npm's."""
    text = pins.read_text(encoding="utf-8")
    if pins.suffix == ".json":
        return str(json.loads(text)["packages"][f"node_modules/{package}"]["version"])
    return next(
        line.partition("==")[2].split()[0] for line in text.splitlines() if line.startswith(f"{package}==")
    )


def lock() -> None:
    """Resolve the versions again.

    Raises:
        InstallationError: uv or npm fails.
    """
    for asked in sorted(PINS.glob("*.in")):
        _run(
            [
                *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--no-config"),
                *(
                    "--python-version",
                    "3.11",
                    "--python-platform",
                    "linux",
                    "--prerelease",
                    "if-necessary-or-explicit",
                ),
                *("--custom-compile-command", "python -m benchmarks.clients --lock"),
                *(str(asked), "--output-file", str(asked.with_suffix(".txt"))),
            ]
        )
    for source in (JAVASCRIPT, TYPESCRIPT):
        _run(["npm", "install", "--package-lock-only", "--no-audit", "--no-fund"], cwd=source)


def _kept(name: str, described: Sequence[Path]) -> Path:
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in described)).hexdigest()[:12]
    return KEPT / f"{name}-{digest}"


def _run(command: Sequence[str], cwd: Path = ROOT) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallationError(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise InstallationError(f"{' '.join(command)}:\n{done.stderr[-3000:]}")
