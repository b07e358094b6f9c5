"""The files of executions in the artifact store, which may be away for a while."""

from collections.abc import Iterable, Sequence

import stamina
import structlog
from PIL import Image

from jobs.pictures.reader import to_png
from jobs.queue.leases import Lease
from jobs.status.job import StoredImage
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import map_folder, map_key
from worker.canvas import Canvas

log = structlog.get_logger(__name__)


class ExecutionFiles:
    """Writes them with patience, and deletes them as far as it can. Threads may share one."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self.artifacts = artifacts

    def put(self, key: str, data: bytes) -> None:
        """Store a file.

        Raises:
            OSError: the store has failed for half a minute.
        """
        for attempt in attempts():
            with attempt:
                self.artifacts.put(key, data)

    def put_maps(self, lease: Lease, maps: Sequence[Canvas]) -> None:
        """Store the maps that an execution's controls have read; errors as for ``put``."""
        for number, canvas in enumerate(maps):
            picture = Image.fromarray(canvas.pixels.permute(1, 2, 0).contiguous().numpy())
            self.put(map_key(lease.artifact_prefix, number), to_png(picture))

    def delete(self, place: str) -> None:
        """Delete what is there, if the store lets us."""
        try:
            self.artifacts.delete(place)
        except OSError:
            # It goes with its job, when that is deleted or expires.
            log.exception("artifacts could not be deleted", place=place)

    def all_but(self, lease: Lease, stored: Sequence[StoredImage]) -> tuple[str, ...]:
        """The pictures of an execution that are none of these, by the keys of their files."""
        kept, maps = {image.key for image in stored}, map_folder(lease.artifact_prefix)
        try:
            pictures = {key for key in self.artifacts.keys(lease.artifact_prefix) if not key.startswith(maps)}
        except OSError:
            # They go with their job, when that is deleted or expires.
            log.exception("candidates could not be found", job=lease.job_id, fence=lease.fence)
            return ()
        return tuple(sorted(pictures - kept))


def attempts() -> Iterable[stamina.Attempt]:
    """Tries at storing something."""
    # Not the decorator, which logs a call's arguments: the bytes of the picture, at every try.
    return stamina.retry_context(on=OSError, attempts=5, timeout=30.0)
