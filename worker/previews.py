"""Shows previews beside the computing: encodes them and hands them to the queue, the newest of each picture only."""

import threading
from concurrent.futures import ThreadPoolExecutor

import structlog

from jobs.leases import Lease, Leases
from worker.calls import Preview
from worker.pictures import encode_preview

log = structlog.get_logger(__name__)


class Previews:
    """One thread. A preview that comes while an older one of the same picture still waits takes its place."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, int], tuple[Lease, Preview]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="previews")

    def show(self, lease: Lease, preview: Preview) -> None:
        """Show a preview soon; returns at once."""
        key = lease.fence, preview.index
        with self._lock:
            is_new = key not in self._waiting
            self._waiting[key] = lease, preview
        if is_new:
            self._thread.submit(self._publish, key)

    def close(self) -> None:
        """Forget what has not been shown; returns when the thread has ended."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _publish(self, key: tuple[str, int]) -> None:
        with self._lock:
            lease, preview = self._waiting.pop(key)
        try:
            self._leases.preview(lease, preview.index, preview.step, encode_preview(preview.pixels))
        except Exception:
            # A job must not fail, nor its worker, for want of a preview.
            log.exception("preview could not be shown", job=lease.job_id)
