"""A snapshot in memory: its files, mapped, so that all processes of a machine share one copy."""

import mmap
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from app.api.search import inverted
from app.api.search.libraries import libraries
from app.api.search.manifest import Check, Manifest, SnapshotFolder
from app.api.search.parts import SnapshotPart

CHECKED_AT_A_TIME = 16 << 20
TRIES = 3  # the current snapshot may be replaced while it is read

VECTORS, ROWS, JOBS, FENCES, EXECUTIONS = "vectors", "rows", "jobs", "fences", "executions"
"""Files: [rows, width] float32; [3, rows] uint32, the execution and the number of the picture of each row, and the rows
ordered by execution; the ids of the executions' jobs, sorted; their fences; [2, executions] uint32, where the rows of
each begin in that order, and how many there are."""

Array = Any
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that was checked."""

    manifest: Manifest
    vectors: Array
    rows: Array
    jobs: Array
    fences: Array
    executions: Array
    parts: dict[str, SnapshotPart]

    def executions_of(self, job_id: str) -> range:
        """Those of a job; none if it has no pictures here."""
        _, np = libraries()
        if len(job_id) > self.manifest.job_bytes or not job_id.isascii():
            return range(0)
        wanted = np.array([job_id.encode()], dtype=self.jobs.dtype)
        return range(
            int(np.searchsorted(self.jobs, wanted, "left")[0]),
            int(np.searchsorted(self.jobs, wanted, "right")[0]),
        )

    def rows_of(self, execution: int) -> Array:
        """The rows of an execution, [n] int64."""
        _, np = libraries()
        start, count = (int(number) for number in self.executions[:, execution])
        return self.rows[2, start : start + count].astype(np.int64)

    def owner(self, row: int) -> tuple[str, str, int]:
        """Job, fence and number of the picture of a row."""
        execution = self.rows[0, row]
        job_id, fence = self.jobs[execution], self.fences[execution]
        return job_id.decode(), fence.decode(), int(self.rows[1, row])

    def part_of(self, row: int) -> SnapshotPart:
        """The part that has a row."""
        place = bisect_right(self.manifest.tenants, row, key=lambda part: part.start) - 1
        return self.parts[self.manifest.tenants[place].tenant]


def load(folder: SnapshotFolder) -> Snapshot | None:
    """The current snapshot; None if there is none, or none to be trusted.

    Reads each of its files once, against its checksum. So it is in the memory of the system when queries come.
    """
    for left in reversed(range(TRIES)):
        if not folder.has_any():
            return None
        try:
            return _loaded(folder)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: FAISS's own
            if left and isinstance(error, FileNotFoundError):
                continue
            log.warning("snapshot of the search index left out", reason=str(error))
    return None


def _loaded(folder: SnapshotFolder) -> Snapshot:
    _, np = libraries()
    manifest = folder.current()
    place = folder.place(manifest)
    held = {name: _mapped(place / name, check) for name, check in manifest.files.items()}
    rows, executions = manifest.rows, manifest.executions
    vectors = np.frombuffer(held[VECTORS], "<f4").reshape(rows, manifest.width)
    return Snapshot(
        manifest,
        vectors,
        np.frombuffer(held[ROWS], "<u4").reshape(3, rows),
        np.frombuffer(held[JOBS], f"S{manifest.job_bytes}"),
        np.frombuffer(held[FENCES], f"S{manifest.fence_bytes}"),
        np.frombuffer(held[EXECUTIONS], "<u4").reshape(2, executions),
        {
            part.tenant: SnapshotPart(
                part.start,
                vectors[part.start : part.start + part.count],
                inverted.mapped(place / part.index) if part.index else None,
            )
            for part in manifest.tenants
        },
    )


def _mapped(path: Path, wanted: Check) -> mmap.mmap:
    with path.open("rb") as file:
        size = path.stat().st_size
        if size != wanted.bytes:
            raise ValueError(f"{path.name} has {size} bytes instead of {wanted.bytes}")
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    found = 0
    for part in _portions(content):
        found = zlib.crc32(part, found)
    if found != wanted.crc32:
        raise ValueError(f"{path.name} is damaged")
    return content


def _portions(content: mmap.mmap) -> Iterator[memoryview]:
    whole = memoryview(content)
    for start in range(0, len(whole), CHECKED_AT_A_TIME):
        yield whole[start : start + CHECKED_AT_A_TIME]
