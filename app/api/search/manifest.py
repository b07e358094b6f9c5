"""What a snapshot says of itself, and the folder that snapshots lie in."""

import fcntl
import secrets
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from jobs.storage.files import write_whole
from jobs.wire import Wire

VERSION: Final = 2
_AGAIN_S = 0.2
_EARLIER = "snapshot.npz"  # of versions whose snapshots were read whole


class SnapshotUnwritableError(Exception):
    """The folder of the snapshots cannot be written: it is full, for reading only, or no folder."""


class Check(Wire):
    """What a file of a snapshot must be."""

    bytes: int
    crc32: int


class TenantRows(Wire):
    """The rows of one tenant, which lie together."""

    tenant: str
    start: int
    count: int
    index: str = Field("", description="File of its inverted lists; empty if each query looks at every row.")
    trained_rows: int = Field(0, description="Rows that it had when its lists were trained.")


class Manifest(Wire):
    """A snapshot: written last, and read first."""

    version: Literal[2] = VERSION
    root: str = Field(description="Folder of the segments, which names the CLIP.")
    folder: str = Field(description="Its other files.")
    cursor: str = Field(description="The last event of the stream of all jobs that it knows.")
    width: int = Field(gt=0, description="Length of a vector.")
    rows: int
    executions: int
    job_bytes: int = Field(description="Longest job id.")
    fence_bytes: int = Field(description="Longest fence.")
    tenants: tuple[TenantRows, ...]
    files: dict[str, Check]
    crc32: int = Field(0, description="Of all the other fields.")

    def sealed(self) -> "Manifest":
        """The same with its checksum."""
        plain = self.model_copy(update={"crc32": 0}).model_dump_json().encode()
        return self.model_copy(update={"crc32": zlib.crc32(plain)})


class SnapshotFolder:
    """The snapshots of one index, of which one is current. Processes of a machine share it; one writes at a time."""

    def __init__(self, path: Path, root: str) -> None:
        """Touch nothing yet.

        Args:
            path: of the folder, on a local disk.
            root: folder of the segments in the store.
        """
        self.path, self.root = path, root
        self._manifest = path / "snapshot.json"

    def has_any(self) -> bool:
        """Whether there is a snapshot, right or wrong."""
        return self._manifest.exists()

    def current(self) -> Manifest:
        """The current snapshot.

        Raises:
            OSError: there is none, or it cannot be read.
            ValueError: it is of another version or index, or damaged.
        """
        try:
            manifest = Manifest.model_validate_json(self._manifest.read_bytes())
        except ValidationError as error:
            raise ValueError("its manifest is none of this version") from error
        if manifest != manifest.sealed():
            raise ValueError("its manifest is damaged")
        if manifest.root != self.root:
            raise ValueError("it is of another index")
        return manifest

    def place(self, manifest: Manifest) -> Path:
        """Where the files of a snapshot are."""
        return self.path / manifest.folder

    @contextmanager
    def writing(self, *, patient: bool, stopped: Callable[[], bool]) -> Iterator[str]:
        """The name of a new, empty folder of a snapshot, while no other process writes one.

        Args:
            patient: whether to wait for another writer.
            stopped: whether to give up.

        Raises:
            BlockingIOError: another process writes, or it was given up.
            SnapshotUnwritableError: the folder cannot be made.
        """
        name = f"snapshot-{secrets.token_hex(6)}"
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.path / "snapshot.lock").open("wb")
        except OSError as error:
            raise SnapshotUnwritableError(str(error)) from error
        with lock:
            _lock(lock.fileno(), patient, stopped)
            try:
                (self.path / name).mkdir(mode=0o700)
            except OSError as error:
                raise SnapshotUnwritableError(str(error)) from error
            try:
                yield name
            finally:
                self._sweep()

    def publish(self, manifest: Manifest) -> None:
        """Make a snapshot the current one, whose files are on the disk.

        Raises:
            OSError: it cannot be written.
        """
        write_whole(self._manifest, manifest.sealed().model_dump_json().encode(), umask=0o077)

    def _sweep(self) -> None:
        """Delete what no snapshot is; who has mapped its files keeps them. For the writer."""
        try:
            kept = self.current().folder
        except (OSError, ValueError):
            kept = ""
        for place in self.path.glob("snapshot-*"):
            if place.name != kept:
                shutil.rmtree(place, ignore_errors=True)
        (self.path / _EARLIER).unlink(missing_ok=True)


def _lock(descriptor: int, patient: bool, stopped: Callable[[], bool]) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not patient or stopped():
                raise
        else:
            return
        time.sleep(_AGAIN_S)
