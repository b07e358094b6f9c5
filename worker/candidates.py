"""Lets everyone see the pictures of a choosing job while it still makes others."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import structlog

from jobs.artifacts import ArtifactStore
from jobs.leases import Lease, Leases
from jobs.state import StoredImage
from worker.pictures import encode_png, picture_key, stored_image
from worker.sampler import Picture

log = structlog.get_logger(__name__)


class Candidates:
    """Stores candidates on a thread of its own, beside the computing, and forgets none before its job is settled."""

    def __init__(self, leases: Leases, artifacts: ArtifactStore) -> None:
        self._leases = leases
        self._artifacts = artifacts
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="candidates")
        self._storing: dict[str, list[Future[StoredImage]]] = {}
        self._lock = threading.Lock()

    def show(self, lease: Lease, picture: Picture) -> None:
        """Store a candidate soon; returns at once."""
        with self._lock:
            stored = self._thread.submit(self._store, lease, picture)
            self._storing.setdefault(lease.job_id, []).append(stored)

    def all(self, lease: Lease) -> tuple[StoredImage, ...]:
        """Every candidate of an execution, once the last one is stored.

        Raises:
            OSError: the artifact store would not take one.
        """
        with self._lock:
            storing = self._storing.pop(lease.job_id, [])
        stored = [future.result() for future in storing]
        return tuple(sorted(stored, key=lambda image: image.index))

    def forget(self, lease: Lease) -> None:
        """The execution has ended otherwise: nothing may be stored for it from here on."""
        with self._lock:
            storing = self._storing.pop(lease.job_id, [])
        for future in storing:
            if not future.cancel():
                future.exception()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _store(self, lease: Lease, picture: Picture) -> StoredImage:
        image = stored_image(lease.artifact_prefix, picture)
        self._artifacts.put(
            picture_key(lease.artifact_prefix, picture.index), encode_png(picture, lease.drawing)
        )
        self._leases.show(lease, image)
        return image
