"""Snapshots in place of earlier ones: our own, or those that another process has written."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from app.api.search.building import Building, unwritable
from app.api.search.generation import Generation
from app.api.search.manifest import SnapshotFolder, SnapshotUnwritableError
from app.api.search.reading import Spool, read
from app.api.search.snapshot import load
from jobs.storage.segments import Segments

log = structlog.get_logger(__name__)


class SnapshotWriter:
    """Writes snapshots of generations, for one thread at a time."""

    def __init__(self, segments: Segments, folder: SnapshotFolder, stopped: Callable[[], bool]) -> None:
        self._segments, self._folder, self._stopped = segments, folder, stopped
        self._patience = 1

    def is_due(self, generation: Generation) -> bool:
        """Whether a new snapshot would make a generation lighter. After failures it must be heavier."""
        return generation.is_heavy(self._patience)

    def lightened(self, generation: Generation) -> Generation:
        """One with a newer snapshot: that of another process, or our own; the same if there can be none now.

        Raises:
            BuildingStoppedError: the server stops.
        """
        if self._current() not in ("", generation.folder):
            snapshot = load(self._folder)
            if snapshot is not None and snapshot.manifest.folder != generation.folder:
                return Generation(snapshot, snapshot.manifest.cursor)
        with suppress(SnapshotUnwritableError, BlockingIOError):
            return self.rebuilt(generation, (), None, patient=False)
        return generation

    def rebuilt(
        self, generation: Generation, keys: Sequence[str], cursor: str | None, *, patient: bool
    ) -> Generation:
        """One with a snapshot of the same pictures and of further segments.

        Args:
            generation: of the pictures.
            keys: of the segments.
            cursor: the last event that is known with the segments; that of the generation if None.
            patient: whether to wait while another process writes.

        Raises:
            SnapshotUnwritableError: there is no place for it.
            BlockingIOError: another process writes one.
            BuildingStoppedError: the server stops.
            OSError: the artifact store cannot be reached.
        """
        try:
            return self._rebuilt(generation, keys, cursor, patient=patient)
        except SnapshotUnwritableError as error:
            self._patience *= 2
            log.warning("the snapshot of the search index cannot be written", reason=str(error))
            raise

    def _rebuilt(
        self, generation: Generation, keys: Sequence[str], cursor: str | None, *, patient: bool
    ) -> Generation:
        before = self._current()
        with self._folder.writing(patient=patient, stopped=self._stopped) as name:
            if self._current() != before and (other := load(self._folder)) is not None:
                return Generation(other, other.manifest.cursor)  # of the process that we waited for
            if not self._write(name, generation, keys, cursor):
                return Generation(None, cursor or generation.cursor)
            snapshot = load(self._folder)
        if snapshot is None:
            raise SnapshotUnwritableError("what was written cannot be read")
        self._patience = 1
        return Generation(snapshot, snapshot.manifest.cursor)

    def _write(self, name: str, generation: Generation, keys: Sequence[str], cursor: str | None) -> bool:
        """Write and publish a snapshot; False if there is no picture."""
        sources, known = generation.sources()
        place = self._folder.path / name
        if keys:
            spool = Spool(place / "spool", generation.width)
            for segment, vectors in read(self._segments, keys, self._stopped):
                spool.add(segment, vectors)
            sources += filter(None, [spool.source()])
        if not any(len(rows) for source in sources for rows in source.tenants.values()):
            return False
        manifest = Building(place, sources, self._stopped).write(self._segments.root, cursor or known)
        with unwritable():
            (place / "spool").unlink(missing_ok=True)
            self._folder.publish(manifest)
        return True

    def _current(self) -> str:
        """Folder of the current snapshot; empty if there is none."""
        try:
            return self._folder.current().folder
        except (OSError, ValueError):
            return ""
