"""Remembers the SHA-256 of files by their identity, so that weights are not read again for it after a restart."""

import fcntl
import hashlib
import os
import re
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import structlog

Identity = tuple[int, int, int, int]

# Clocks of file systems advance in steps: a file this young may change once more without a later modification time.
SETTLED_S = 2.0
SMALL_BYTES = 2**20  # a file up to this size is hashed each time
_LINE = re.compile(r"(\d+) (\d+) (\d+) (\d+) ([0-9a-f]{64})")

log = structlog.get_logger(__name__)


class Digests:
    """SHA-256 of files, known by device, inode, size and modification time in nanoseconds.

    A file that is changed in place and keeps all four is taken for unchanged. The digests are lines of a text file.
    Workers append to it under a lock, and pass over damaged lines. Without write access the process alone knows them.
    """

    def __init__(self, file: Path | None = None) -> None:
        """Read nothing yet.

        Args:
            file: of the digests, in a folder that may not exist yet; None keeps them in memory alone.
        """
        self._file = None if file is None else file.expanduser()
        self._known: dict[Identity, str] = {}
        self._computed: dict[Identity, Future[None]] = {}  # by ``expect``
        self._lock = threading.Lock()

    def known(self, status: os.stat_result) -> str | None:
        """The digest of a file with this status, once it is computed; None if the file has to be read for it."""
        identity = _identity(status)
        if (computed := self._computed.get(identity)) is not None:
            computed.result()
        with self._lock:
            if identity not in self._known:
                self._known = self._stored() | self._known
            return self._known.get(identity)

    def of(self, file: Path) -> str:
        """The digest of a file in hexadecimal digits, which is read unless its digest is known."""
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_size > SMALL_BYTES and (digest := self.known(status)) is not None:
                return digest
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if status.st_size > SMALL_BYTES and _identity(os.fstat(stream.fileno())) == _identity(status):
                self.keep(status, digest)
        return digest

    def keep(self, status: os.stat_result, digest: str) -> None:
        """Remember the digest of a file whose status was the same before and after it was read."""
        with self._lock:
            self._known[_identity(status)] = digest
            if self._file is not None and time.time() - status.st_mtime >= SETTLED_S:
                self._store(self._file, " ".join(map(str, (*_identity(status), digest))))

    def expect(self, status: os.stat_result, computed: Future[None]) -> None:
        """Let whoever asks for the digest of a file wait for a computation that ends in ``keep``."""
        self._computed[_identity(status)] = computed

    def _stored(self) -> dict[Identity, str]:
        if self._file is None or not self._file.is_file():
            return {}
        lines = self._file.read_text(encoding="ascii", errors="replace").splitlines()
        found = (match for line in lines if (match := _LINE.fullmatch(line)))
        return {(int(match[1]), int(match[2]), int(match[3]), int(match[4])): match[5] for match in found}

    def _store(self, file: Path, line: str) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="ascii") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                # The line break comes first too: a line that a dying process left unfinished spoils itself alone.
                stream.write(f"\n{line}\n")
        except OSError as error:
            log.warning("digests of weights are not kept", file=str(file), error=str(error))


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
