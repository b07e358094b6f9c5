"""Reads segments: a few into memory, or many into a file, from which a snapshot is made."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import structlog

from app.api.search.building import BuildingStoppedError, Source, unwritable
from app.api.search.libraries import libraries
from jobs.errors import UnknownImageError
from jobs.storage.segments import Segment, Segments

READ_AT_ONCE = 8
PORTION = 256

Array = Any
log = structlog.get_logger(__name__)


def vectors_of(segment: Segment) -> Array:
    """The vectors of a segment, [n, width] float32.

    Raises:
        ValueError: it is damaged.
    """
    _, np = libraries()
    vectors = np.frombuffer(segment.data, "<f4").astype(np.float32)
    vectors = vectors.reshape(len(segment.indexes), segment.width)
    if not np.isfinite(vectors).all():
        raise ValueError("some of its numbers are not finite")
    return vectors


def read(
    segments: Segments, keys: Sequence[str], stopped: Callable[[], bool]
) -> Iterator[tuple[Segment, Array]]:
    """Segments with their vectors; without those that are gone or damaged.

    Raises:
        OSError: the store cannot be reached.
        BuildingStoppedError: the server stops.
    """

    def one(key: str) -> tuple[Segment, Array] | None:
        with suppress(UnknownImageError):  # deleted meanwhile
            try:
                segment = segments.get(key)
                return segment, vectors_of(segment)
            except ValueError as error:
                log.warning("damaged segment left out", key=key, reason=str(error))
        return None

    # Threads wait for a remote store, or for a disk that has much to seek; for a few files they cost more than that.
    is_slow = len(keys) > (1 if segments.local_folder is None else PORTION)
    with ThreadPoolExecutor(READ_AT_ONCE) if is_slow else nullcontext() as pool:
        for start in range(0, len(keys), PORTION):
            if stopped():
                raise BuildingStoppedError
            portion = keys[start : start + PORTION]
            yield from filter(None, map(one, portion) if pool is None else pool.map(one, portion))


class Spool:
    """A file of the vectors of many segments."""

    def __init__(self, path: Path, width: int | None) -> None:
        """Make the file.

        Args:
            path: of the file.
            width: length of a vector; that of the first segment if None.

        Raises:
            SnapshotUnwritableError: it cannot be made.
        """
        with unwritable():
            self._file = path.open("wb")
        self._path, self.width = path, width
        self._jobs: list[bytes] = []
        self._fences: list[bytes] = []
        self._tenants: list[str] = []
        self._pictures: list[tuple[int, ...]] = []

    def add(self, segment: Segment, vectors: Array) -> None:
        """Append the rows of a segment; of another width, it is left out.

        Raises:
            SnapshotUnwritableError: the disk is full.
        """
        self.width = self.width or segment.width
        if self.width != segment.width:
            log.warning("segment of another CLIP left out", job=segment.job_id, width=segment.width)
            return
        with unwritable():
            self._file.write(vectors.tobytes())
        self._jobs.append(segment.job_id.encode())
        self._fences.append(segment.fence.encode())
        self._tenants.append(segment.tenant)
        self._pictures.append(segment.indexes)

    def source(self) -> Source | None:
        """What was added; None if that is nothing."""
        _, np = libraries()
        with unwritable():
            self._file.close()
        if not self._jobs:
            return None
        counts = np.array([len(pictures) for pictures in self._pictures])
        execution = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
        names = sorted(set(self._tenants))
        numbers = {name: number for number, name in enumerate(names)}
        of_row = np.array([numbers[name] for name in self._tenants], np.uint32)[execution]
        return Source(
            vectors=np.memmap(self._path, "<f4", "r").reshape(-1, self.width),
            execution=execution,
            pictures=np.concatenate([np.array(pictures, np.uint32) for pictures in self._pictures]),
            jobs=np.array(self._jobs),
            fences=np.array(self._fences),
            tenants={name: np.flatnonzero(of_row == number) for number, name in enumerate(names)},
            indexes={},
            lists={},
        )
