"""Lets everyone see the pictures of a choosing job while it still makes others."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from jobs.leases import Lease, Leases
from jobs.state import StoredImage
from worker.pictures import encode_png, stored_image
from worker.sampler import Picture


class Candidates:
    """Stores candidates on a thread of its own, beside the computing, and forgets none before its job is settled."""

    def __init__(self, leases: Leases, put: Callable[[str, bytes], None]) -> None:
        """Show nothing yet.

        Args:
            leases: tells of each.
            put: stores bytes under a key.
        """
        self._leases = leases
        self._put = put
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="candidates")
        self._storing: dict[str, list[Future[StoredImage]]] = {}
        self._lock = threading.Lock()

    def show(self, lease: Lease, picture: Picture) -> None:
        """Store a candidate soon; returns at once."""
        with self._lock:
            stored = self._thread.submit(self._store, lease, picture)
            self._storing.setdefault(lease.artifact_prefix, []).append(stored)

    def all(self, lease: Lease) -> tuple[StoredImage, ...]:
        """Every candidate of an execution, by number, once the last one is stored.

        Raises:
            OSError: the artifact store would not take one.
        """
        stored = [future.result() for future in self._pop(lease)]
        return tuple(sorted(stored, key=lambda image: image.index))

    def forget(self, lease: Lease) -> bool:
        """The execution has ended otherwise: nothing is stored for it from here on; whether anything was."""
        storing = self._pop(lease)
        for future in storing:
            if not future.cancel():
                future.exception()
        return bool(storing)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _pop(self, lease: Lease) -> list[Future[StoredImage]]:
        with self._lock:
            return self._storing.pop(lease.artifact_prefix, [])

    def _store(self, lease: Lease, picture: Picture) -> StoredImage:
        image = stored_image(lease.artifact_prefix, picture)
        self._put(image.key, encode_png(picture, lease.drawing))
        self._leases.show(lease, image)
        return image
