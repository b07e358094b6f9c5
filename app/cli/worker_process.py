"""Runs a module of the worker that tells its progress as lines of JSON, and shows it."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from jobs.errors import ConfigurationError, LodestarError
from lodestar.cli.exits import say

_REFUSALS = {"configuration", "model_unavailable", "unknown_model"}


def followed(module: str, arguments: Sequence[str], *, quiet: bool = False) -> dict[str, Any]:
    """The result of a module.

    Args:
        module: to be run; see ``worker.models.adding.reporting`` for its lines.
        arguments: of it.
        quiet: shows nothing.

    Raises:
        ConfigurationError: it refuses what it was asked for.
        LodestarError: it has failed otherwise.
    """
    command = [sys.executable, "-P", "-m", module, *arguments]
    found: dict[str, Any] | None = None
    with ExitStack() as stack, tempfile.TemporaryFile("w+") as complaints:
        show = _Shown(stack, quiet)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                told = _told(line)
                if told["event"] == "failed":
                    process.wait()
                    raise (ConfigurationError if told["type"] in _REFUSALS else LodestarError)(
                        told["message"]
                    )
                if told["event"] == "found":
                    found = told
                show(told)
        complaints.seek(0)
        last = complaints.read().strip().splitlines()[-1:]
    if found is None:
        raise LodestarError(f"it ended early: {last[0]}" if last else "it ended early")
    return found


def _told(line: str) -> dict[str, Any]:
    """The event of a line; one without meaning for what a library prints."""
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    return told if isinstance(told, dict) and "event" in told else {"event": "noise"}


class _Shown:
    """Shows events on stderr: sentences, and a bar for each file; off a terminal a line when one is there."""

    def __init__(self, stack: ExitStack, quiet: bool) -> None:
        self._stack, self._quiet = stack, quiet
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    def __call__(self, told: dict[str, Any]) -> None:
        """Show an event."""
        if self._quiet:
            return
        if told["event"] == "say":
            say(told["text"])
        if told["event"] == "progress":
            if sys.stderr.isatty():
                self._move(told)
            elif told["done"] >= told["total"]:
                say(f"fetched {told['file']}")

    def _move(self, told: dict[str, Any]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        if self._bars is None:
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bars = self._stack.enter_context(Progress(*columns, console=Console(stderr=True)))
        name = told["file"]
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=told["total"])
        self._bars.update(self._tasks[name], completed=told["done"])
