"""Encodes and publishes the newest preview of each picture, on a thread beside the engine."""

import threading

import structlog

from jobs.queue.leases import Lease, Leases
from worker.events import Preview
from worker.pictures.writer import PictureWriter
from worker.serving.lane import Lane

log = structlog.get_logger(__name__)


class Previews:
    """Publishes previews on one thread. A new preview replaces one of the same picture that still waits."""

    def __init__(self, leases: Leases, writer: PictureWriter | None = None) -> None:
        self._leases = leases
        self._writer = writer or PictureWriter()
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, int], tuple[Lease, Preview]] = {}
        self._lane = Lane("previews")

    def show(self, lease: Lease, preview: Preview) -> None:
        """Show a preview soon; returns at once."""
        key = lease.fence, preview.index
        with self._lock:
            is_new = key not in self._waiting
            self._waiting[key] = lease, preview
        if is_new:
            self._lane.submit(self._publish, key)

    def close(self, within_s: float) -> None:
        """Show no more; return when the thread has ended, or the time is over."""
        self._lane.close(within_s)

    def _publish(self, key: tuple[str, int]) -> None:
        with self._lock:
            lease, preview = self._waiting.pop(key)
        try:
            # An estimate may overflow the decoder where the picture itself does not.
            if preview.raster.is_finite:
                jpeg = self._writer.preview(preview.raster)
                if jpeg is not None:
                    self._leases.preview(lease, preview.index, preview.step, jpeg)
        except Exception:
            # A missing preview must fail neither the job nor the worker.
            log.exception("preview could not be shown", job=lease.job_id)
