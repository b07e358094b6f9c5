"""What one child says: a file that its output goes to directly, so that no pipe can fill up and stop it."""

from pathlib import Path
from typing import BinaryIO


class ChildLog:
    """The log of a child over all its restarts; the one of the run before is kept as ``<name>.log.1``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = 0
        self._read = 0
        if path.exists():
            path.replace(path.with_name(path.name + ".1"))

    def open(self) -> BinaryIO:
        """The file to give to a process that starts now."""
        file = self.path.open("ab")
        self._start = file.tell()
        return file

    def tail(self, lines: int) -> list[str]:
        """The last lines of what it has said since its last start."""
        with self.path.open("rb") as file:
            file.seek(self._start)
            return file.read().decode(errors="replace").rstrip().splitlines()[-lines:]

    def unread(self) -> list[str]:
        """The lines that were completed since the last call."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        return whole.decode(errors="replace").splitlines() if newline else []
