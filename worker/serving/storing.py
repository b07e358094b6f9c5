"""Encodes and stores pictures as they are finished, while their jobs go on."""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress

from jobs.queue.leases import Lease
from jobs.requests.request import ResolvedRequest
from jobs.status.job import StoredImage
from worker.pictures.picture import Picture
from worker.pictures.writer import PictureWriter
from worker.serving.lane import Lane

# More store more pictures a second, on cores that nothing else wants, but each makes the engine's thread wait for the
# interpreter's lock (``python -m benchmarks.gpu store``).
THREADS = min(4, max(2, (os.cpu_count() or 1) // 4))
WAITING = 8  # pictures of one execution that may wait to be stored

_Futures = list[Future[StoredImage | None]]


class Storing:
    """Stores pictures on threads of its own, and keeps their records until their job is settled.

    The pictures of one execution are announced in the order in which they were added, whichever is stored first.
    """

    def __init__(
        self,
        put: Callable[[str, bytes], None],
        announce: Callable[[Lease, StoredImage], None] = lambda *_: None,
        on_stored: Callable[[], None] = lambda: None,
        threads: int = THREADS,
        writer: PictureWriter | None = None,
    ) -> None:
        """Start no thread yet.

        Args:
            put: stores bytes under a key.
            announce: called for each candidate of a best-of-n job, once it is stored.
            on_stored: called when fewer pictures wait than before, on a thread that stores them.
            threads: the most.
            writer: of the files; by default as for a service without settings.
        """
        self._put = put
        self._announce = announce
        self._on_stored = on_stored
        self._writer = writer or PictureWriter()
        self._lane = Lane("storing", threads)
        self._storing: dict[str, _Futures] = {}
        self._lock = threading.Lock()

    def add(self, lease: Lease, picture: Picture) -> None:
        """Store a picture soon; returns at once."""
        with self._lock:
            storing = self._storing.setdefault(lease.artifact_prefix, [])
            before = storing[-1] if storing else None
            stored = self._lane.submit(self._store, lease, picture, before)
            storing.append(stored)
        stored.add_done_callback(lambda _: self._on_stored())

    def adopt(self, lease: Lease, images: Iterable[StoredImage | None]) -> None:
        """Count pictures as stored that an earlier execution of the job has made; None for one that is not kept."""
        stored: _Futures = []
        for image in images:
            stored.append(Future())
            stored[-1].set_result(image)
        with self._lock:
            self._storing[lease.artifact_prefix] = stored

    def has_room(self, lease: Lease) -> bool:
        """Whether an execution may generate more. Its pictures wait in memory for a store that may be slow or away."""
        with self._lock:
            storing = self._storing.get(lease.artifact_prefix, ())
            return sum(not future.done() for future in storing) < WAITING

    def all(self, lease: Lease) -> tuple[StoredImage, ...]:
        """Every picture of an execution, by number, once the last one is stored. If one cannot be, no other will be.

        Those that may not be stored are missing.

        Raises:
            OSError: one cannot be stored.
            LodestarError: one cannot be encoded.
        """
        with self._lock:
            storing = list(self._storing.get(lease.artifact_prefix, ()))
        try:
            stored = [image for future in storing if (image := future.result()) is not None]
        except BaseException:
            self.forget(lease)
            raise
        return tuple(sorted(stored, key=lambda image: image.index))

    def forget(self, lease: Lease) -> bool:
        """Store nothing more for an execution; whether anything was stored for it."""
        storing = self._pop(lease)
        _stop(storing)
        return bool(storing)

    def close(self, within_s: float) -> None:
        """Store no more; return when the threads have ended, or the time is over."""
        self._lane.close(within_s)

    def _pop(self, lease: Lease) -> _Futures:
        with self._lock:
            return self._storing.pop(lease.artifact_prefix, [])

    def _store(
        self, lease: Lease, picture: Picture, before: Future[StoredImage | None] | None
    ) -> StoredImage | None:
        written = self._writer.write(picture, lease.generation, lease.artifact_prefix)
        if written is None:
            return None
        self._put(written.image.key, written.png)
        if lease.generation.select is not None:
            _wait(before)
            self._announce(lease, written.image)
        return written.image


def _stop(storing: _Futures) -> None:
    """Cancel what has not begun, and wait for the rest."""
    for future in reversed(storing):
        future.cancel()
    for future in storing:
        _wait(future)


def _wait(stored: Future[StoredImage | None] | None) -> None:
    """Return when a picture is stored, or will never be. The lane has begun it before all later ones."""
    if stored is not None:
        with suppress(BaseException):
            stored.exception()


def stores_enlarged_alone(request: ResolvedRequest) -> bool:
    """Whether a job's own pictures are not stored, since only larger ones are kept and nothing is chosen before."""
    return request.upscale is not None and request.select is None
