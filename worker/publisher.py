"""Stores the pictures of a finished execution and commits it."""

import stamina
import structlog

from jobs.artifacts import ArtifactStore
from jobs.errors import JobFailedError
from jobs.leases import Lease, Leases
from jobs.state import JobStatus, StoredImage
from worker.engine import Finished
from worker.pictures import encode_png
from worker.sampler import Picture

log = structlog.get_logger(__name__)


class Publisher:
    """Pictures go to the execution's own place first, then one commit makes them the job's."""

    def __init__(self, leases: Leases, artifacts: ArtifactStore) -> None:
        self._leases = leases
        self._artifacts = artifacts

    def publish(self, lease: Lease, outcome: Finished) -> JobStatus:
        """The status that the job entered: failed when the store would not take a picture.

        Raises:
            LeaseLostError: the job belongs to another execution now, or is gone.
        """
        try:
            stored = tuple(self._store(lease, picture) for picture in outcome.pictures)
        except OSError as error:
            log.exception("artifact store failed", job=lease.job_id)
            reason = f"the picture could not be stored: {error.strerror or type(error).__name__}"
            status = self._leases.fail(lease, JobFailedError(reason))
        else:
            status = self._leases.succeed(lease, stored)
        if status is not JobStatus.SUCCEEDED:
            self.discard(lease)
        return status

    def discard(self, lease: Lease) -> None:
        """Remove what the execution has stored."""
        try:
            self._artifacts.delete(lease.artifact_prefix)
        except OSError:
            # They go with their job, when that is deleted or expires.
            log.exception("artifacts could not be deleted", job=lease.job_id, fence=lease.fence)

    def _store(self, lease: Lease, picture: Picture) -> StoredImage:
        key = f"{lease.artifact_prefix}/{picture.index}.png"
        self._put(key, encode_png(picture, lease.request))
        height, width = picture.pixels.shape[-2:]
        return StoredImage(
            index=picture.index,
            seed=picture.seed,
            width=width,
            height=height,
            key=key,
            clip_score=round(picture.clip_score, 4),
            trace=picture.trace,
        )

    @stamina.retry(on=OSError, attempts=5, timeout=30.0)
    def _put(self, key: str, data: bytes) -> None:
        self._artifacts.put(key, data)
