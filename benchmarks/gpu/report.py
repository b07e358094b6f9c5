"""Figures of a machine, each beside the rule by which it decides something."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

Values = Mapping[str, Any]


class Report:
    """Prints figures and rules as they come, and writes all of them to a file after each part."""

    def __init__(self, console: Console, json_file: Path | None) -> None:
        """Start empty.

        Args:
            console: to print on.
            json_file: to write to; None for no file.
        """
        self._console = console
        self._file = json_file
        self.parts: dict[str, dict[str, Any]] = {}
        self._part: dict[str, Any] = {}

    def begin(self, part: str, about: str) -> None:
        """Begin a part."""
        self._part = self.parts[part] = {"figures": {}, "rules": [], "error": None, "seconds": None}
        self._console.print(f"\n[bold]{part}[/bold]: {escape(about)}")

    def figure(self, name: str, measure: Callable[[], Values]) -> Values:
        """Measure and print a figure. What a device cannot do is a finding too: its error takes the values' place."""
        try:
            values = measure()
        except Exception as error:
            values = {
                "error": f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"
            }
        self._part["figures"][name] = dict(values)
        shown = ", ".join(f"{key} {value}" for key, value in values.items())
        self._console.print(f"  {escape(name)}: {escape(shown)}", soft_wrap=True)
        return values

    def rule(self, rule: str, holds: bool | None = None) -> None:
        """Print what the figures above decide.

        Args:
            rule: the condition, and what follows from it.
            holds: whether the condition is met here; None where a figure is missing, or a person has to decide.
        """
        self._part["rules"].append({"rule": rule, "holds": holds})
        verdict = {True: "[green]yes[/green]", False: "[yellow]no[/yellow]", None: "open"}[holds]
        self._console.print(f"  -> {escape(rule)}: {verdict}", soft_wrap=True)

    def fail(self, error: Exception) -> None:
        """Note that the part ended early."""
        self._part["error"] = f"{type(error).__name__}: {error}"
        self._console.print(f"  [red]failed[/red]: {escape(self._part['error'])}", soft_wrap=True)

    def end(self, seconds: float) -> None:
        """End the part, and write all that is known."""
        self._part["seconds"] = round(seconds, 1)
        self._console.print(f"  took {seconds:.0f} s")
        if self._file is not None:
            self._file.write_text(json.dumps(self.parts, indent=2) + "\n")

    @property
    def has_failed(self) -> bool:
        """Whether a part ended early."""
        return any(part["error"] is not None for part in self.parts.values())


def ratio(slow: Values, fast: Values, key: str = "ms") -> float | None:
    """How many times one figure is the other; None if one is missing."""
    if slow.get(key) is None or not fast.get(key):
        return None
    return float(slow[key]) / float(fast[key])


def at_least(value: float | None, bound: float) -> bool | None:
    """Whether a value reaches a bound; None without a value."""
    return None if value is None else value >= bound
