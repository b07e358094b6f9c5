"""Reads the Dockerfile as a list of stages, far enough to hold it to what deployment promises."""

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass
class Stage:
    """One FROM and what follows it: (instruction, arguments) pairs in the file's order."""

    name: str
    parent: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [arguments for name, arguments in self.instructions if name == instruction]


def stages() -> dict[str, Stage]:
    """The stages by name, each with the instructions of the stages that it is built on first."""
    found: dict[str, Stage] = {}
    stage = Stage("", "")  # what comes before the first of them
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "Dockerfile").read_text()))
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, arguments = line.split(maxsplit=1)
        if instruction == "FROM":
            parent, _, name = arguments.split()
            inherited = found[parent].instructions if parent in found else []
            found[name] = stage = Stage(name, parent, list(inherited))
        else:
            stage.instructions.append((instruction, arguments))
    return found


def environment(stage: Stage) -> dict[str, str]:
    """The variables that ENV sets in a stage."""
    pairs = (pair.partition("=") for arguments in stage.all("ENV") for pair in arguments.split())
    return {name: value for name, _, value in pairs}
