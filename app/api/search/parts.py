"""The rows of one tenant, and the search among them: in a snapshot, and of what came since."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.api.search import inverted
from app.api.search.libraries import libraries

RERANKED = 8  # candidates of the inverted lists for each picture that is wanted
LEAST_RERANKED = 256

Array = Any
Best = tuple[Array, Array]
"""Rows, [n] int64, and their similarities, [n] float32; the most similar first."""


def nearest_of(vectors: Array, query: Array, limit: int, alive: Array | None = None) -> Best:
    """The nearest of some vectors, each of which is looked at.

    Args:
        vectors: unit vectors, [n, width] float32.
        query: unit vector, [width] float32.
        limit: rows at most.
        alive: which of them count, [n] bool; all if None.
    """
    _, np = libraries()
    similarities = vectors @ query
    rows = None
    if alive is not None:
        rows = np.flatnonzero(alive)
        similarities = similarities[rows]
    if limit < len(similarities):
        best = np.argpartition(-similarities, limit - 1)[:limit]
    else:
        best = np.arange(len(similarities))
    best = best[np.argsort(-similarities[best], kind="stable")]
    return (best if rows is None else rows[best]), similarities[best]


class SnapshotPart:
    """Consecutive rows of a snapshot. Threads may search while one drops rows."""

    def __init__(self, start: int, vectors: Array, index: Any = None) -> None:
        """Make one.

        Args:
            start: number of its first row in the snapshot.
            vectors: [n, width] float32.
            index: the inverted lists of the same rows; None if each query looks at every row.
        """
        _, np = libraries()
        self.start, self.vectors, self.index = start, vectors, index
        self.alive = np.ones(len(vectors), dtype=bool)
        self.dead = 0
        self._bits: Array = None

    def __len__(self) -> int:
        return len(self.vectors) - self.dead

    def drop(self, rows: Array) -> None:
        """Find these rows no more."""
        _, np = libraries()
        dropped = rows[self.alive[rows]]
        self.alive[dropped] = False
        if self.index is not None:
            if self._bits is None:
                self._bits = np.packbits(self.alive, bitorder="little")
            else:
                np.bitwise_and.at(self._bits, dropped >> 3, ~(1 << (dropped & 7)).astype(np.uint8))
        self.dead += len(dropped)

    def best(self, query: Array, limit: int) -> Best:
        """The nearest rows; those of inverted lists are found by their bits, and compared as they are."""
        _, np = libraries()
        alive = self.alive if self.dead else None
        if self.index is None:
            return nearest_of(self.vectors, query, limit, alive)
        number = min(len(self), max(LEAST_RERANKED, RERANKED * limit))
        if not number:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        rows = np.sort(inverted.candidates(self.index, query, number, min(limit, number), self._selector))
        places, similarities = nearest_of(self.vectors[rows], query, limit)
        return rows[places], similarities

    def _selector(self) -> Any:
        faiss, _ = libraries()
        bits = self._bits
        return None if bits is None else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))


@dataclass(frozen=True)
class FreshView:
    """The rows of a ``FreshPart`` at one moment."""

    vectors: Array
    alive: Array
    owners: Sequence[tuple[str, str, int]]


@dataclass
class FreshPart:
    """Rows in memory, which grow. Its methods are for one thread at a time; a view is for any."""

    width: int
    owners: list[tuple[str, str, int]] = field(default_factory=list)
    """Job, fence and number of the picture of each row."""
    dead: int = 0

    def __post_init__(self) -> None:
        """Start empty."""
        _, np = libraries()
        self._vectors = np.empty((64, self.width), np.float32)
        self._alive = np.ones(64, bool)

    def __len__(self) -> int:
        return len(self.owners) - self.dead

    def add(self, job_id: str, fence: str, pictures: Sequence[int], vectors: Array) -> range:
        """Append rows; which they are."""
        _, np = libraries()
        rows = range(len(self.owners), len(self.owners) + len(pictures))
        if rows.stop > len(self._vectors):  # views keep the old arrays
            more = max(rows.stop, 2 * len(self._vectors)) - len(self._vectors)
            self._vectors = np.concatenate([self._vectors, np.empty((more, self.width), np.float32)])
            self._alive = np.concatenate([self._alive, np.ones(more, bool)])
        self._vectors[rows.start : rows.stop] = vectors
        self.owners += [(job_id, fence, picture) for picture in pictures]
        return rows

    def drop(self, rows: range) -> None:
        """Find these rows no more."""
        self.dead += int(self._alive[rows.start : rows.stop].sum())
        self._alive[rows.start : rows.stop] = False

    def view(self) -> FreshView:
        """The rows now."""
        number = len(self.owners)
        return FreshView(self._vectors[:number], self._alive[:number], self.owners)
