"""Publishes the candidates of a best-of-n job while it still generates others."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from jobs.queue.leases import Lease, Leases
from jobs.status.job import StoredImage
from worker.pictures.picture import Picture
from worker.pictures.png import encode_png, stored_image
from worker.serving.lane import Lane

WAITING = 8  # candidates of one execution that may wait to be stored


class Storing:
    """Stores candidates on a thread of its own, and keeps their records until their job is settled."""

    def __init__(
        self,
        leases: Leases,
        put: Callable[[str, bytes], None],
        on_stored: Callable[[], None] = lambda: None,
    ) -> None:
        """Start no thread yet.

        Args:
            leases: announces each.
            put: stores bytes under a key.
            on_stored: called when fewer candidates wait than before, on the thread that stores them.
        """
        self._leases = leases
        self._put = put
        self._on_stored = on_stored
        self._lane = Lane("candidates")
        self._storing: dict[str, list[Future[StoredImage]]] = {}
        self._lock = threading.Lock()

    def show(self, lease: Lease, picture: Picture) -> None:
        """Store a candidate soon; returns at once."""
        stored = self._lane.submit(self._store, lease, picture)
        with self._lock:
            self._storing.setdefault(lease.artifact_prefix, []).append(stored)
        stored.add_done_callback(lambda _: self._on_stored())

    def has_room(self, lease: Lease) -> bool:
        """Whether an execution may generate more. Its pictures wait in memory for a store that may be slow or away."""
        with self._lock:
            storing = self._storing.get(lease.artifact_prefix, ())
            return sum(not future.done() for future in storing) < WAITING

    def all(self, lease: Lease) -> tuple[StoredImage, ...]:
        """Every candidate of an execution, by number, once the last one is stored.

        Raises:
            OSError: one cannot be stored.
        """
        stored = [future.result() for future in self._pop(lease)]
        return tuple(sorted(stored, key=lambda image: image.index))

    def forget(self, lease: Lease) -> bool:
        """Store nothing more for an execution; whether anything was stored for it."""
        storing = self._pop(lease)
        for future in storing:
            if not future.cancel():
                future.exception()
        return bool(storing)

    def close(self, within_s: float) -> None:
        """Store no more; return when the thread has ended, or the time is over."""
        self._lane.close(within_s)

    def _pop(self, lease: Lease) -> list[Future[StoredImage]]:
        with self._lock:
            return self._storing.pop(lease.artifact_prefix, [])

    def _store(self, lease: Lease, picture: Picture) -> StoredImage:
        image = stored_image(lease.artifact_prefix, picture)
        self._put(image.key, encode_png(picture, lease.generation))
        self._leases.show(lease, image)
        return image
