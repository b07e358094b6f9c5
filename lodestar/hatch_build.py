"""Gathers the client's modules for a wheel, with the modules of ``jobs`` that they import.

The models of requests and jobs are declared once, in ``jobs``, for the service and for the client. ``jobs`` is no name
to put into other people's environments, so in the distribution these modules lie in ``lodestar._jobs``, and the imports
say so. Which modules these are follows from the imports.
"""

import ast
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NEW_HOME = "lodestar._jobs"
_IMPORT = re.compile(r"^(\s*from )jobs((?:\.\w+)+ import )", re.MULTILINE)
_LEFT = re.compile(r"^\s*(?:import|from) jobs\b|[\"']jobs\.", re.MULTILINE)
NOT_SHIPPED = {"hatch_build.py"}


class GatherModules(BuildHookInterface[Any]):
    """Hatchling's hook."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 -- hatchling calls it so
        """Have the modules included, as files of their own."""
        root = Path(self.root)
        gathered = root / "lodestar"  # in a source distribution, which has been through this
        if not gathered.exists():
            self._folder = tempfile.TemporaryDirectory()
            gathered = Path(self._folder.name)
            gather(root.parent, gathered)
        build_data["force_include"][str(gathered)] = "lodestar"

    def finalize(self, *_: Any) -> None:
        """Forget the files."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def gather(checkout: Path, target: Path) -> None:
    """Write the package as it is distributed.

    Raises:
        ValueError: a module names ``jobs`` in a way that would break where that is called otherwise.
    """
    client = [file for file in sorted((checkout / "lodestar").rglob("*.py")) if file.name not in NOT_SHIPPED]
    for file in client:
        _write(file, target / file.relative_to(checkout / "lodestar"))
    for file in _shared(checkout, client):
        _write(file, target / "_jobs" / file.relative_to(checkout / "jobs"))
    (target / "py.typed").touch()


def _write(file: Path, target: Path) -> None:
    text = _IMPORT.sub(rf"\1{NEW_HOME}\2", file.read_text(encoding="utf-8"))
    if left := _LEFT.search(text):
        raise ValueError(f"{file}: write this as `from jobs.… import …`: {left[0].strip()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def _shared(checkout: Path, client: list[Path]) -> list[Path]:
    """The modules of ``jobs`` that these import, and those that they import, with their packages."""
    found: set[Path] = set()
    waiting = list(client)
    while waiting:
        for module in _imported(waiting.pop()):
            file = (checkout / Path(*module.split("."))).with_suffix(".py")
            packages = [folder / "__init__.py" for folder in file.parents if checkout in folder.parents]
            new = {each for each in (file, *packages) if each.is_file()} - found
            found |= new
            waiting += new
    return sorted(found)


def _imported(file: Path) -> Iterator[str]:
    """The names in ``jobs`` that a module imports; each may be a module, or something in one."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "jobs":
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)
