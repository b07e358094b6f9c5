"""Writes snapshots, off the requests' way: from an earlier one, from what came since, and from segments."""

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.api.search import inverted
from app.api.search.libraries import libraries
from app.api.search.manifest import Check, Manifest, SnapshotUnwritableError, TenantRows
from app.api.search.snapshot import EXECUTIONS, FENCES, JOBS, ROWS, VECTORS

EXACT_ROWS = 30_000
"""Most rows of a tenant each of which a query looks at: it reads 90 MB of vectors with 768 numbers."""
TRAINED_AGAIN_BY = 2  # times as many rows as when the lists were trained

Array = Any


class BuildingStoppedError(Exception):
    """The server stops."""


@dataclass(frozen=True)
class Source:
    """Rows for a snapshot.

    Attributes:
        vectors: [n, width] float32.
        execution: number of each row's execution among these, [n].
        pictures: number of each row's picture in its job, [n].
        jobs: ids of the executions' jobs, [m] bytes.
        fences: of the executions, [m] bytes.
        tenants: the rows of each tenant that count, [k] int64.
        indexes: trained indexes of tenants, with the number of rows that they were trained for.
        lists: the list of each row of ``tenants``, [k] int64, for the tenants with an index.
    """

    vectors: Array
    execution: Array
    pictures: Array
    jobs: Array
    fences: Array
    tenants: dict[str, Array]
    indexes: dict[str, tuple[Any, int]]
    lists: dict[str, Array]


@dataclass
class _Taken:
    """Rows of several sources: the source of each and its number there, [n] each."""

    sources: Sequence[Source]
    source: Array
    row: Array

    def __len__(self) -> int:
        return len(self.row)

    def vectors(self, places: Array) -> Array:
        """The vectors at some places, [n, width] float32."""
        _, np = libraries()
        found = np.empty((len(places), self.sources[0].vectors.shape[1]), np.float32)
        source, row = self.source[places], self.row[places]
        for number, each in enumerate(self.sources):
            mine = source == number
            found[mine] = each.vectors[row[mine]]
        return found


@contextmanager
def unwritable() -> Iterator[None]:
    """Raise ``SnapshotUnwritableError`` when a file of the snapshot cannot be written."""
    try:
        yield
    except OSError as error:
        raise SnapshotUnwritableError(str(error)) from error
    except RuntimeError as error:  # FAISS's own
        raise SnapshotUnwritableError(str(error)) from error


class Building:
    """One snapshot that is written."""

    def __init__(self, place: Path, sources: Sequence[Source], stopped: Callable[[], bool]) -> None:
        """Write nothing yet.

        Args:
            place: folder of its files.
            sources: of its rows, one at least.
            stopped: whether to give up.
        """
        self._place, self._sources, self._stopped = place, sources, stopped
        self._files: dict[str, Check] = {}

    def write(self, root: str, cursor: str) -> Manifest:
        """Write all files, and say what they are.

        Args:
            root: folder of the segments.
            cursor: the last event that the sources know.

        Raises:
            SnapshotUnwritableError: the disk refuses.
            BuildingStoppedError: the server stops.
        """
        _, np = libraries()
        start, parts, taken = 0, [], []
        with unwritable(), (self._place / VECTORS).open("wb") as vectors:
            for tenant in sorted({name for source in self._sources for name in source.tenants}):
                rows = self._rows_of(tenant)
                if len(rows):
                    part, ordered = self._write_part(tenant, start, rows, vectors)
                    parts.append(part)
                    taken.append(ordered)
                    start += len(rows)
        source = np.concatenate([rows.source for rows in taken]) if taken else np.empty(0, np.uint8)
        row = np.concatenate([rows.row for rows in taken]) if taken else np.empty(0, np.int64)
        self._seal(VECTORS)
        executions, job_bytes, fence_bytes = self._write_owners(source, row)
        return Manifest(
            root=root,
            folder=self._place.name,
            cursor=cursor,
            width=self._sources[0].vectors.shape[1],
            rows=start,
            executions=executions,
            job_bytes=job_bytes,
            fence_bytes=fence_bytes,
            tenants=tuple(parts),
            files=self._files,
        )

    def _rows_of(self, tenant: str) -> _Taken:
        _, np = libraries()
        each = [source.tenants.get(tenant, np.empty(0, np.int64)) for source in self._sources]
        numbers = [np.full(len(rows), number, np.uint8) for number, rows in enumerate(each)]
        return _Taken(self._sources, np.concatenate(numbers), np.concatenate(each))

    def _write_part(self, tenant: str, start: int, rows: _Taken, file: Any) -> tuple[TenantRows, _Taken]:
        """Write a tenant's vectors, list by list if it has many, and its index."""
        _, np = libraries()
        if len(rows) <= EXACT_ROWS:
            for places in self._portions(np.arange(len(rows))):
                file.write(rows.vectors(places).tobytes())
            return TenantRows(tenant=tenant, start=start, count=len(rows)), rows
        index, trained_rows, lists = self._divided(tenant, rows)
        order = np.argsort(lists, kind="stable")
        for places in self._portions(order):
            vectors = rows.vectors(places)
            inverted.add(index, vectors, lists[places])
            file.write(vectors.tobytes())
        name = f"lists-{start}"
        inverted.write(index, self._place / name)
        self._seal(name)
        part = TenantRows(tenant=tenant, start=start, count=len(rows), index=name, trained_rows=trained_rows)
        return part, _Taken(self._sources, rows.source[order], rows.row[order])

    def _divided(self, tenant: str, rows: _Taken) -> tuple[Any, int, Array]:
        """An empty index for a tenant's rows, the number that it was trained for, and the list of each row."""
        _, np = libraries()
        lists = np.full(len(rows), -1, np.int64)
        known = [number for number, source in enumerate(self._sources) if tenant in source.indexes]
        earlier, trained_rows = self._sources[known[0]].indexes[tenant] if known else (None, 0)
        if earlier is not None and len(rows) < TRAINED_AGAIN_BY * trained_rows:
            index = inverted.emptied(earlier)
            lists[rows.source == known[0]] = self._sources[known[0]].lists[tenant]
        else:
            number, trained_rows = inverted.lists_of(len(rows)), len(rows)
            drawn = np.random.default_rng(inverted.SEED).permutation(len(rows))
            index = inverted.trained(rows.vectors(np.sort(drawn[: number * inverted.TRAINED_BY])), number)
        for places in self._portions(np.flatnonzero(lists < 0)):
            lists[places] = inverted.assigned(index, rows.vectors(places))
        return index, trained_rows, lists

    def _write_owners(self, source: Array, row: Array) -> tuple[int, int, int]:
        """Write whose each row is; the number of executions, and the longest id and fence."""
        _, np = libraries()
        begin = np.cumsum([0] + [len(each.jobs) for each in self._sources])
        execution = np.empty(len(row), np.int64)
        pictures = np.empty(len(row), np.uint32)
        for number, each in enumerate(self._sources):
            mine = source == number
            execution[mine] = begin[number] + each.execution[row[mine]]
            pictures[mine] = each.pictures[row[mine]]
        jobs = np.concatenate([each.jobs for each in self._sources])
        fences = np.concatenate([each.fences for each in self._sources])
        used = np.unique(execution)
        used = used[np.argsort(jobs[used], kind="stable")]
        numbers = np.zeros(len(jobs), np.uint32)
        numbers[used] = np.arange(len(used), dtype=np.uint32)
        execution = numbers[execution]
        order = np.argsort(execution, kind="stable").astype(np.uint32)
        counts = np.bincount(execution, minlength=len(used)).astype(np.uint32)
        starts = (np.cumsum(counts) - counts).astype(np.uint32)
        with unwritable():
            self._store(ROWS, np.stack([execution, pictures, order]))
            self._store(JOBS, jobs[used])
            self._store(FENCES, fences[used])
            self._store(EXECUTIONS, np.stack([starts, counts]))
        return len(used), jobs.dtype.itemsize, fences.dtype.itemsize

    def _portions(self, places: Array) -> Iterator[Array]:
        for start in range(0, len(places), inverted.AT_A_TIME):
            if self._stopped():
                raise BuildingStoppedError
            yield places[start : start + inverted.AT_A_TIME]

    def _store(self, name: str, content: Array) -> None:
        (self._place / name).write_bytes(content.tobytes())
        self._seal(name)

    def _seal(self, name: str) -> None:
        """Bring a file to the disk, and note what it is."""
        with unwritable(), (self._place / name).open("rb") as file:
            os.fsync(file.fileno())
            found, size = 0, 0
            while part := file.read(1 << 20):
                found, size = zlib.crc32(part, found), size + len(part)
        self._files[name] = Check(bytes=size, crc32=found)
