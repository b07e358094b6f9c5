"""The log of a child: a file that takes its output directly, so that no full pipe can block it."""

import os
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 16 << 20
_TAIL_BYTES = 64 << 10


class ChildLog:
    """The log of a child over all its restarts; what came before, in this run or the last, is in ``<name>.log.1``.

    Each of the two is at most ``most_bytes`` long, and what is written between two calls of ``cut``.
    """

    def __init__(self, path: Path, *, most_bytes: int | None = None) -> None:
        self.path = path
        self._older = path.with_name(path.name + ".1")
        self._most_bytes = MOST_BYTES if most_bytes is None else most_bytes
        self._start = 0  # where the present process began to speak; negative when that was put aside
        self._read = 0
        self.cut()
        if _size(path):
            path.chmod(0o600)
            path.replace(self._older)

    def open(self) -> BinaryIO:
        """The file to give to a process that starts now."""
        file = os.fdopen(_private(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab")
        self._start = file.tell()
        return file

    def tail(self, lines: int) -> list[str]:
        """The last lines since its last start, as many as a person reads."""
        said = _end_of(self.path, self._start)
        if self._start < 0:
            said = _end_of(self._older, _size(self._older) + self._start) + said
        return said.decode(errors="replace").rstrip().splitlines()[-lines:]

    def unread(self) -> list[str]:
        """The lines that were completed since the last call."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self._read += len(whole) + len(newline)
        return whole.decode(errors="replace").splitlines() if newline else []

    def cut(self) -> None:
        """Rotate a log that is too long; the previous rotated log is lost.

        The child goes on at its beginning, since it only appends. What it writes at this very moment may be lost.
        """
        size = _size(self.path)
        if size <= self._most_bytes:
            return
        with self.path.open("r+b") as file:
            self._start = self._put_aside(file, size - self._most_bytes)
            file.truncate(0)
        self._read = 0

    def _put_aside(self, file: BinaryIO, kept_from: int) -> int:
        """Keep the rest of the file; where the present process began to speak, counted from its end."""
        file.seek(kept_from)
        kept = file.read(self._most_bytes)
        try:
            descriptor = _private(self._older, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with os.fdopen(descriptor, "wb") as older:
                older.write(kept)
        except OSError:  # a full disk: what has been said so far is lost
            return 0
        return self._start - kept_from - len(kept)


def _end_of(path: Path, start: int) -> bytes:
    size = _size(path)
    if not size:
        return b""
    with path.open("rb") as file:
        file.seek(max(start, size - _TAIL_BYTES, 0))
        return file.read()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _private(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor
