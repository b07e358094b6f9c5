"""Stores what came of a finished execution and commits it."""

from dataclasses import replace

import stamina
import structlog

from jobs.artifacts import ArtifactStore
from jobs.embeddings import key_of
from jobs.errors import JobFailedError, LodestarError
from jobs.leases import Lease, Leases
from jobs.request import ResolvedUpscale
from jobs.segments import Segment, Segments
from jobs.selection import ResolvedSelection, best
from jobs.state import JobStatus, StoredImage
from worker.candidates import Candidates
from worker.inputs import read_whole_picture
from worker.models.registry import ModelRegistry
from worker.pictures import encode_png, stored_image
from worker.sampler import Picture
from worker.tasks import Done
from worker.upscaling import Upscaler
from worker.work import Finished

log = structlog.get_logger(__name__)


class Publisher:
    """Pictures go to the execution's own place first, then one commit makes them the job's."""

    def __init__(self, leases: Leases, artifacts: ArtifactStore, models: ModelRegistry) -> None:
        self._leases = leases
        self._artifacts = artifacts
        self._segments = Segments(artifacts, models.catalog.critic.id)
        self._candidates = Candidates(leases, self._put)
        self._upscalers: dict[str, Upscaler] = {}
        self._threads = models.device.threads

    def show(self, lease: Lease, picture: Picture) -> None:
        """Let everyone see a candidate of a choosing job soon; returns at once."""
        self._candidates.show(lease, picture)

    def publish(self, lease: Lease, outcome: Finished) -> JobStatus:
        """The status that the job entered: failed when the store would not take a picture.

        Raises:
            LeaseLostError: the job belongs to another execution now, or is gone.
        """
        try:
            stored = self._store_kept(lease, outcome.pictures)
        except OSError as error:
            status = self._fail_unstored(lease, "the picture", error)
        except LodestarError as error:
            status = self._leases.fail(lease, error)
        else:
            status = self._leases.succeed(lease, stored)
            if status is JobStatus.SUCCEEDED and len(stored) < len(outcome.pictures):
                self._delete_all_but(lease, stored)
        if status is not JobStatus.SUCCEEDED:
            self.discard(lease)
        return status

    def answer(self, lease: Lease, done: Done) -> JobStatus:
        """The same for a job that makes no picture.

        Raises:
            LeaseLostError: as for ``publish``.
        """
        try:
            if done.file:
                self._put(key_of(done.name), done.file)
        except OSError as error:
            return self._fail_unstored(lease, "the embedding", error)
        return self._leases.answer(lease, done.result)

    def withdraw(self, lease: Lease) -> None:
        """The execution has ended without its pictures: what was shown of them goes."""
        if self._candidates.forget(lease):
            self._delete(lease.artifact_prefix)

    def discard(self, lease: Lease) -> None:
        """Remove what the execution has stored."""
        self._candidates.forget(lease)
        self._delete(f"{self._segments.root}/{lease.artifact_prefix}")
        self._delete(lease.artifact_prefix)

    def forget(self, lease: Lease) -> None:
        """Nothing more may be stored for the execution; what is stored may be another's to use, or to remove."""
        self._candidates.forget(lease)

    def close(self) -> None:
        """End the thread that stores candidates."""
        self._candidates.close()

    def _store_kept(self, lease: Lease, pictures: tuple[Picture, ...]) -> tuple[StoredImage, ...]:
        """Store a job's pictures, or keep the best of those that were stored as they came; where they lie."""
        if lease.drawing.select is None:
            images = tuple(self._store(lease, picture) for picture in pictures)
        else:
            images = self._keep_best(lease, lease.drawing.select, pictures)
        rows = {
            image.index: embedding.tolist()
            for image in images
            if (embedding := pictures[image.index].embedding) is not None
        }
        if rows:
            key, segment = self._segments.encode(Segment.of(lease.job_id, lease.fence, rows))
            self._put(key, segment)
        return images

    def _keep_best(
        self, lease: Lease, select: ResolvedSelection, pictures: tuple[Picture, ...]
    ) -> tuple[StoredImage, ...]:
        candidates = self._candidates.all(lease)
        chosen = tuple(candidates[place] for place in best(candidates, select.by, select.keep))
        if lease.drawing.upscale is None:
            return chosen
        whole = (
            replace(pictures[image.index], pixels=read_whole_picture(self._artifacts.get(image.key)))
            for image in chosen
        )
        return tuple(self._store(lease, picture) for picture in whole)

    def _store(self, lease: Lease, picture: Picture) -> StoredImage:
        shown = self._upscaled(picture, lease.drawing.upscale)
        image = stored_image(lease.artifact_prefix, shown)
        self._put(image.key, encode_png(shown, lease.drawing))
        return image

    def _upscaled(self, picture: Picture, asked: ResolvedUpscale | None) -> Picture:
        if asked is None:
            return picture
        if asked.model not in self._upscalers:
            self._upscalers[asked.model] = Upscaler(asked.model, self._threads)
        return replace(picture, pixels=self._upscalers[asked.model](picture.pixels, asked.factor))

    def _fail_unstored(self, lease: Lease, what: str, error: OSError) -> JobStatus:
        log.exception("artifact store failed", job=lease.job_id)
        reason = f"{what} could not be stored: {error.strerror or type(error).__name__}"
        return self._leases.fail(lease, JobFailedError(reason))

    def _delete_all_but(self, lease: Lease, stored: tuple[StoredImage, ...]) -> None:
        kept = {image.key for image in stored}
        try:
            others = set(self._artifacts.keys(lease.artifact_prefix)) - kept
        except OSError:
            # They go with their job, when that is deleted or expires.
            log.exception("candidates could not be deleted", job=lease.job_id, fence=lease.fence)
            return
        for key in others:
            self._delete(key)

    def _delete(self, place: str) -> None:
        try:
            self._artifacts.delete(place)
        except OSError:
            # It goes with its job, when that is deleted or expires.
            log.exception("artifacts could not be deleted", place=place)

    def _put(self, key: str, data: bytes) -> None:
        # Not the decorator, which logs a call's arguments: the bytes of the picture, at every try.
        for attempt in stamina.retry_context(on=OSError, attempts=5, timeout=30.0):
            with attempt:
                self._artifacts.put(key, data)
