"""The index of the kept pictures: opened once, then kept up with the stream of all jobs' events.

It lists the segments when there is no snapshot, or when events were missed; a query lists nothing.
"""

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from app.api.search.generation import Found, Generation
from app.api.search.libraries import libraries
from app.api.search.manifest import SnapshotFolder, SnapshotUnwritableError
from app.api.search.reading import read
from app.api.search.snapshot import load
from app.api.search.writing import SnapshotWriter
from jobs.events.endings import Endings
from jobs.events.event_log import START, EventsMissedError
from jobs.storage.segments import Segments

READ_INTO_MEMORY = 4_000
"""Most segments that are read into memory; more go into a snapshot at once."""

log = structlog.get_logger(__name__)


class SearchIndex:
    """The nearest pictures by inner product, exactly compared.

    Any number of servers may each have their own. They share the segments, and those of one machine the snapshots.
    Threads may share one.
    """

    def __init__(self, segments: Segments, endings: Endings, folder: Path) -> None:
        """Read nothing yet.

        Args:
            segments: that workers write.
            endings: tells which count.
            folder: of the snapshots, on a local disk.
        """
        self._segments, self._endings = segments, endings
        self._folder = SnapshotFolder(folder, segments.root)
        self._generation: Generation | None = None
        self._opening, self._following, self._maintaining = (threading.Lock() for _ in range(3))
        self._turns = threading.BoundedSemaphore(os.cpu_count() or 1)
        """More at a time slow each other. A semaphore lets the last one overtake; in the order of their coming, a turn
        would lie idle until its thread is woken, and a fifth less are done."""
        self._followed_at = 0.0
        self._is_behind = False
        self._stopping = threading.Event()
        self._writer = SnapshotWriter(segments, self._folder, self._stopping.is_set)

    def __len__(self) -> int:
        return 0 if self._generation is None else len(self._generation)

    @property
    def is_open(self) -> bool:
        """Whether queries are answered at once."""
        return self._generation is not None

    @property
    def has_snapshot(self) -> bool:
        """Whether it was once used here."""
        return self._folder.has_any()

    def needs_upkeep(self) -> bool:
        """Whether ``maintain`` has something to do."""
        generation = self._generation
        return generation is not None and (self._is_behind or self._writer.is_due(generation))

    def open(self) -> Generation:
        """Read the snapshot, or all segments if there is none to be trusted; once, and soon if it is open.

        Raises:
            MissingExtraError: FAISS is not installed.
            OSError: the artifact store cannot be reached.
            QueueUnavailableError: Redis cannot be reached.
            BuildingStoppedError: the server stops.
        """
        libraries()
        with self._opening:
            if self._generation is None:
                snapshot = load(self._folder)
                if snapshot is None:
                    generation = self._listed(Generation(None, START), patient=True)
                else:
                    generation = Generation(snapshot, snapshot.manifest.cursor)
                self._replace(generation)
            assert self._generation is not None
            return self._generation

    def nearest(self, vector: Sequence[float], limit: int, tenant: str = "") -> list[Found]:
        """The nearest pictures of a tenant, nearest first, among all whose jobs have succeeded by now.

        Args:
            vector: unit vector of the CLIP whose segments these are.
            limit: pictures at most.
            tenant: whose; the default one if it is empty.

        Raises:
            MissingExtraError, OSError, QueueUnavailableError: as for ``open``.
        """
        if self._generation is None:
            self.open()
        self.follow()
        assert self._generation is not None
        with self._turns:
            return self._generation.nearest(vector, limit, tenant)

    def follow(self) -> None:
        """Take in what has happened until now.

        Raises:
            OSError, QueueUnavailableError: as for ``open``.
        """
        asked = time.monotonic()
        with self._following:
            if self._generation is None or self._followed_at > asked:  # by another thread meanwhile
                return
            began = time.monotonic()
            self._catch_up(self._generation)
            self._followed_at = began

    def forget(self, job_id: str, fence: str) -> None:
        """Remove the pictures of an execution, whose job is gone or has others."""
        self._segments.delete(self._segments.key(job_id, fence))
        if self._generation is not None:
            self._generation.drop(job_id, fence)

    def maintain(self) -> None:
        """List the segments if events were missed, and write a snapshot if one is due. Takes minutes at most.

        Raises:
            OSError, QueueUnavailableError, BuildingStoppedError: as for ``open``.
        """
        with self._maintaining:
            generation = self._generation
            if generation is None:
                return
            if self._is_behind:
                generation = self._listed(generation, patient=False)
            if self._writer.is_due(generation):
                generation = self._writer.lightened(generation)
            if generation is not self._generation or self._is_behind:
                self._replace(generation)

    def close(self) -> None:
        """Give up what takes long."""
        self._stopping.set()

    def _replace(self, generation: Generation) -> None:
        """Search this one from now on, once it knows all that the one before has known."""
        with self._following:
            self._is_behind = False
            self._catch_up(generation)
            self._generation = generation

    def _catch_up(self, generation: Generation) -> None:
        """Apply the events after its cursor; without those that are no longer kept, it is behind."""
        while not self._is_behind:
            try:
                portion = self._endings.after(generation.cursor)
            except EventsMissedError:
                log.warning("events were missed; the segments of the search are listed again")
                self._is_behind = True
                return
            kept = []
            for ending in portion.endings:
                if ending.is_kept:
                    kept.append(ending.job_id)
                else:
                    generation.drop(ending.job_id)
            self._add(generation, kept)
            generation.cursor = portion.cursor
            if portion.is_last:
                return

    def _add(self, generation: Generation, job_ids: Sequence[str]) -> None:
        """Take in the pictures of jobs that have succeeded."""
        keys: list[str] = []
        for job_id, fence in zip(job_ids, self._endings.executions(job_ids), strict=True) if job_ids else ():
            if fence is None:
                continue
            if not fence:  # an old job, whose record is not in Redis
                keys += self._segments.keys_of(job_id)
            elif generation.fences(job_id) != {fence}:
                generation.drop(job_id, but=fence)
                keys.append(self._segments.key(job_id, fence))
        for segment, vectors in read(self._segments, keys, self._stopping.is_set):
            generation.add(segment, vectors)

    def _listed(self, generation: Generation, *, patient: bool) -> Generation:
        """The same, or one in its place, after a listing of all segments."""
        known, cursor = generation.executions(), self._endings.cursor()
        found = {self._segments.execution(key): key for key in self._segments.keys()}  # noqa: SIM118
        for job_id, fence in known - found.keys():
            generation.drop(job_id, fence)
        new = sorted(key for execution, key in found.items() if execution and execution not in known)
        if len(new) > READ_INTO_MEMORY:
            with suppress(SnapshotUnwritableError, BlockingIOError):
                return self._writer.rebuilt(generation, new, cursor, patient=patient)
        for segment, vectors in read(self._segments, new, self._stopping.is_set):
            generation.add(segment, vectors)
        with self._following:
            generation.cursor = cursor
        return generation
