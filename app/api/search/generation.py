"""The pictures that a server searches: a snapshot, without what was deleted since, and with what has come since."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from app.api.search import inverted
from app.api.search.building import Source
from app.api.search.libraries import libraries
from app.api.search.parts import FreshPart, nearest_of
from app.api.search.snapshot import Snapshot
from jobs.storage.segments import Segment

LEAST_FRESH = 2_000
MOST_FRESH = 16_000
FRESH_SHARE = 1 / 16
"""A new snapshot is due when this share of the rows has come since the last one, within these limits: a query looks at
each of them. So many dead rows as a quarter of the snapshot call for one too."""
DEAD_SHARE = 1 / 4

Array = Any
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Found:
    """A picture and its similarity."""

    job_id: str
    fence: str
    index: int
    similarity: float


class Generation:
    """One snapshot and what has happened since. Threads may search while others change it."""

    def __init__(self, snapshot: Snapshot | None, cursor: str) -> None:
        """Start from a snapshot, or empty.

        Args:
            snapshot: is checked.
            cursor: the last event that it knows.
        """
        _, np = libraries()
        self.cursor = cursor
        self._snapshot = snapshot
        self._lock = threading.Lock()
        self._gone = np.zeros(snapshot.manifest.executions if snapshot else 0, bool)
        self._fresh: dict[str, FreshPart] = {}
        self._arrived: defaultdict[str, dict[str, tuple[str, range]]] = defaultdict(dict)  # by job and fence

    def __len__(self) -> int:
        old = self._snapshot.parts.values() if self._snapshot else ()
        return sum(map(len, old)) + sum(map(len, self._fresh.values()))

    @property
    def folder(self) -> str:
        """Of its snapshot; empty without one."""
        return self._snapshot.manifest.folder if self._snapshot else ""

    @property
    def width(self) -> int | None:
        """Length of a vector; None before the first."""
        if self._snapshot is not None:
            return self._snapshot.manifest.width
        return next((part.width for part in self._fresh.values()), None)

    def is_heavy(self, times: int = 1) -> bool:
        """Whether a new snapshot would make it lighter; with ``times`` the limit, after failures."""
        rows = self._snapshot.manifest.rows if self._snapshot else 0
        dead = sum(part.dead for part in self._snapshot.parts.values()) if self._snapshot else 0
        fresh = sum(len(part.owners) for part in self._fresh.values())
        most = min(MOST_FRESH, max(LEAST_FRESH, int(FRESH_SHARE * rows)))
        return fresh >= times * most or dead > times * max(LEAST_FRESH, int(DEAD_SHARE * rows))

    def fences(self, job_id: str) -> set[str]:
        """The executions of a job that it has."""
        with self._lock:
            return set(self._arrived.get(job_id, ())) | {fence for _, fence in self._in_snapshot(job_id)}

    def executions(self) -> set[tuple[str, str]]:
        """All that it has, by job and fence."""
        with self._lock:
            found = {(job_id, fence) for job_id, fences in self._arrived.items() for fence in fences}
            if self._snapshot is not None:
                jobs, fences = self._snapshot.jobs[~self._gone], self._snapshot.fences[~self._gone]
                found |= {
                    (job_id.decode(), fence.decode())
                    for job_id, fence in zip(jobs.tolist(), fences.tolist(), strict=True)
                }
            return found

    def add(self, segment: Segment, vectors: Array) -> None:
        """Take an execution's pictures in; those of another width, or that it has already, are left out."""
        if segment.width != (self.width or segment.width):
            log.warning("segment of another CLIP left out", job=segment.job_id, width=segment.width)
            return
        if segment.fence in self.fences(segment.job_id):
            return
        with self._lock:
            part = self._fresh.setdefault(segment.tenant, FreshPart(segment.width))
            rows = part.add(segment.job_id, segment.fence, segment.indexes, vectors)
            self._arrived[segment.job_id][segment.fence] = segment.tenant, rows

    def drop(self, job_id: str, fence: str | None = None, *, but: str | None = None) -> None:
        """Find the pictures of a job no more: those of one execution, or of all, or of all but one."""

        def goes(other: str) -> bool:
            return other != but and fence in (None, other)

        with self._lock:
            arrived = self._arrived.get(job_id, {})
            for other in [other for other in arrived if goes(other)]:
                tenant, rows = arrived.pop(other)
                self._fresh[tenant].drop(rows)
            if not arrived:
                self._arrived.pop(job_id, None)
            for number, other in self._in_snapshot(job_id):
                if goes(other):
                    self._drop_execution(number)

    def nearest(self, vector: Sequence[float], limit: int, tenant: str) -> list[Found]:
        """The nearest pictures of a tenant, nearest first; as ``SearchIndex.nearest``."""
        _, np = libraries()
        if self.width != len(vector):
            return []
        query = np.asarray(vector, np.float32)
        found: list[Found] = []
        snapshot = self._snapshot
        if snapshot is not None and (part := snapshot.parts.get(tenant)) is not None:
            rows, similarities = part.best(query, limit)
            found += [
                Found(*snapshot.owner(part.start + int(row)), float(similarity))
                for row, similarity in zip(rows, similarities, strict=True)
            ]
        with self._lock:
            fresh = self._fresh[tenant].view() if tenant in self._fresh else None
        if fresh is not None:
            rows, similarities = nearest_of(fresh.vectors, query, limit, fresh.alive)
            found += [
                Found(*fresh.owners[int(row)], float(similarity))
                for row, similarity in zip(rows, similarities, strict=True)
            ]
        return sorted(found, key=lambda each: -each.similarity)[:limit]

    def sources(self) -> tuple[list[Source], str]:
        """All of its rows at one moment, for a new snapshot, and the last event that they know."""
        with self._lock:
            found = [] if self._snapshot is None else [self._kept(self._snapshot)]
            if any(map(len, self._fresh.values())):
                found.append(_arrived(self._fresh))
            return found, self.cursor

    def _in_snapshot(self, job_id: str) -> list[tuple[int, str]]:
        """Number and fence of the executions of a job in the snapshot that were not dropped."""
        snapshot = self._snapshot
        if snapshot is None:
            return []
        numbers = (number for number in snapshot.executions_of(job_id) if not self._gone[number])
        return [(number, snapshot.fences[number].decode()) for number in numbers]

    def _drop_execution(self, number: int) -> None:
        assert self._snapshot is not None
        rows = self._snapshot.rows_of(number)
        self._gone[number] = True
        part = self._snapshot.part_of(int(rows[0]))  # all are of one tenant
        part.drop(rows - part.start)

    def _kept(self, snapshot: Snapshot) -> Source:
        _, np = libraries()
        tenants, indexes, lists = {}, {}, {}
        for rows in snapshot.manifest.tenants:
            part = snapshot.parts[rows.tenant]
            alive = np.flatnonzero(part.alive)
            tenants[rows.tenant] = rows.start + alive
            if part.index is not None:
                indexes[rows.tenant] = (part.index, rows.trained_rows)
                lists[rows.tenant] = inverted.lists_in(part.index)[alive]
        return Source(
            vectors=snapshot.vectors,
            execution=snapshot.rows[0],
            pictures=snapshot.rows[1],
            jobs=snapshot.jobs,
            fences=snapshot.fences,
            tenants=tenants,
            indexes=indexes,
            lists=lists,
        )


def _arrived(parts: dict[str, FreshPart]) -> Source:
    _, np = libraries()
    owners: list[tuple[str, str, int]] = []
    tenants, views = {}, []
    for tenant, part in parts.items():
        view = part.view()
        tenants[tenant] = len(owners) + np.flatnonzero(view.alive)
        owners += view.owners
        views.append(view.vectors)
    # The rows of an execution follow each other.
    begins = [place for place, owner in enumerate(owners) if not place or owners[place - 1][:2] != owner[:2]]
    counts = np.diff([*begins, len(owners)])
    return Source(
        vectors=np.concatenate(views),
        execution=np.repeat(np.arange(len(begins), dtype=np.uint32), counts),
        pictures=np.array([picture for _, _, picture in owners], np.uint32),
        jobs=np.array([owners[place][0].encode() for place in begins]),
        fences=np.array([owners[place][1].encode() for place in begins]),
        tenants=tenants,
        indexes={},
        lists={},
    )
