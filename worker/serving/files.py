"""The files of executions in the artifact store, which may be away for a while."""

from collections.abc import Iterable, Sequence

import stamina
import structlog

from jobs.queue.leases import Lease
from jobs.status.job import StoredImage
from jobs.storage.artifacts import ArtifactStore

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

    def delete(self, place: str) -> None:
        """Delete what is there, if the store lets us."""
        try:
            self.artifacts.delete(place)
        except OSError:
            # It goes with its job, when that is deleted or expires.
            log.exception("artifacts could not be deleted", place=place)

    def all_but(self, lease: Lease, stored: Sequence[StoredImage]) -> tuple[str, ...]:
        """The files of an execution that are none of these pictures."""
        kept = {image.key for image in stored}
        try:
            return tuple(sorted(set(self.artifacts.keys(lease.artifact_prefix)) - kept))
        except OSError:
            # They go with their job, when that is deleted or expires.
            log.exception("candidates could not be found", job=lease.job_id, fence=lease.fence)
            return ()


def attempts() -> Iterable[stamina.Attempt]:
    """Tries at storing something."""
    # Not the decorator, which logs a call's arguments: the bytes of the picture, at every try.
    return stamina.retry_context(on=OSError, attempts=5, timeout=30.0)
