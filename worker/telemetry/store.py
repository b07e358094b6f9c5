"""An artifact store whose calls are timed."""

from jobs.storage.artifacts import ArtifactStore
from worker.telemetry.telemetry import Telemetry


class TimedStore(ArtifactStore):
    """Notes the time of each call that reads, writes or deletes files, and adds it to the trace of its execution."""

    def __init__(self, url: str, telemetry: Telemetry) -> None:
        """Connect to nothing yet; errors as for ``ArtifactStore``."""
        super().__init__(url)
        self._metrics, self._traces = telemetry.metrics, telemetry.traces

    def put(self, key: str, data: bytes) -> None:
        """Store a file whole."""
        with self._metrics.timing_file("put"), self._traces.part_of(key, "store put"):
            super().put(key, data)

    def get(self, key: str) -> bytes:
        """The bytes of a file."""
        with self._metrics.timing_file("get"):
            return super().get(key)

    def delete(self, prefix: str) -> None:
        """Remove everything under a prefix."""
        with self._metrics.timing_file("delete"):
            super().delete(prefix)
