"""Stores the results of executions and commits them."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

import structlog

from jobs.errors import (
    ContentBlockedError,
    DeviceLostError,
    JobFailedError,
    LeaseLostError,
    LodestarError,
    NameTakenError,
)
from jobs.queue.leases import Lease, Leases, Standing
from jobs.requests.selection import best
from jobs.status.job import JobStatus, StoredImage
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.embeddings import EmbeddingLibrary
from jobs.storage.segments import Segment, Segments
from worker.canvas import Canvas
from worker.engine.tasks import Done
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import read_whole_picture
from worker.pictures.picture import Picture
from worker.pictures.upscaling import held_upscaler
from worker.pictures.writer import PictureWriter
from worker.raster import Raster
from worker.serving.files import ExecutionFiles, attempts
from worker.serving.handover.giving import Giving
from worker.serving.storing import Storing, stores_enlarged_alone

log = structlog.get_logger(__name__)


class Publisher:
    """Stores pictures under the execution's own keys, then makes them the job's in one commit."""

    def __init__(
        self,
        leases: Leases,
        artifacts: ArtifactStore,
        models: ModelRegistry,
        on_stored: Callable[[], None] = lambda: None,
        writer: PictureWriter | None = None,
    ) -> None:
        """Start no thread yet.

        Args:
            leases: of the executions.
            artifacts: the store of the pictures.
            models: for the CLIP that indexes the pictures, and the CPU threads that upscale them.
            on_stored: called, on another thread, when a picture was stored.
            writer: of the files; by default as for a service without settings.
        """
        self._leases = leases
        self._artifacts, self._files = artifacts, ExecutionFiles(artifacts)
        self._writer = writer or PictureWriter()
        self._segments = Segments(artifacts, models.catalog.aesthetic_scorer.id)
        self.storing = Storing(self._files.put, leases.show, on_stored, writer=self._writer)
        self.giving = Giving(leases, artifacts, self.storing, models.device)
        self._threads = models.device.threads

    def store(self, lease: Lease, picture: Picture) -> Picture:
        """Store a finished picture soon, and announce a candidate of a best-of-n job; returns at once.

        Returns:
            What to keep of it until its job is published. Hundreds of pictures would fill the memory.
        """
        if stores_enlarged_alone(lease.generation):
            return picture.as_raster()
        self.storing.add(lease, picture)
        return picture.without_pixels()

    def has_room(self, lease: Lease) -> bool:
        """Whether an execution may make another picture, or should wait until some are stored."""
        return self.storing.has_room(lease)

    def publish(
        self,
        lease: Lease,
        pictures: tuple[Picture, ...],
        stored: tuple[StoredImage, ...] | None = None,
        maps: Sequence[Canvas] = (),
    ) -> JobStatus:
        """The new status of the job: failed when a picture cannot be stored.

        Args:
            lease: of the execution.
            pictures: all of the execution, in order.
            stored: those that ``enlarge`` has stored; None without upscaling.
            maps: that its controls have read.

        Raises:
            LeaseLostError: the job belongs to another execution now, or is gone.
            DeviceLostError: a picture was lost with the device.
        """
        try:
            images = self._kept(lease, len(pictures)) if stored is None else stored
            self._require_some(pictures, images)
            self._index(lease, pictures, images)
            self._files.put_maps(lease, maps)
        except OSError as error:
            status = self._fail_unstored(lease, "the picture", error)
        except DeviceLostError:
            raise
        except LodestarError as error:
            status = self._leases.fail(lease, error)
        else:
            status = self._leases.succeed(lease, images)
            if status is JobStatus.SUCCEEDED and len(images) < len(pictures):
                self._leases.reject(lease, self._files.all_but(lease, images))
        if status is not JobStatus.SUCCEEDED:
            self.discard(lease)
        return status

    def answer(self, lease: Lease, done: Done) -> JobStatus:
        """The new status of a task.

        Raises:
            LeaseLostError: as for ``publish``.
        """
        if not done.file:
            return self._leases.answer(lease, done.result)
        try:
            self._keep_embedding(lease, done)
        except NameTakenError as error:
            return self._leases.fail(lease, error)
        except OSError as error:
            return self._fail_unstored(lease, "the embedding", error)
        try:
            status = self._leases.answer(lease, done.result)
        except LeaseLostError:
            self._revoke(lease, done.name)
            raise
        if status is not JobStatus.SUCCEEDED:
            self._revoke(lease, done.name)
        return status

    def enlarge(
        self, lease: Lease, pictures: tuple[Picture, ...]
    ) -> Generator[None, None, tuple[StoredImage, ...]]:
        """Upscale and store the pictures that a job keeps; yields after each tile. For one thread only.

        Raises:
            LodestarError: a picture cannot be upscaled.
            OSError: one cannot be stored, or a candidate cannot be read.
        """
        asked = lease.generation.upscale
        assert asked is not None
        upscaler = held_upscaler(asked.model, self._threads)
        stored = []
        for picture in self._whole(lease, pictures):
            large = yield from upscaler.steps(picture.raster.pixels(), asked.factor)
            image = self._store(lease, replace(picture, raster=Raster(large)))
            if image is not None:
                stored.append(image)
            yield
        if stores_enlarged_alone(lease.generation):
            self._tell_of_withheld(lease, len(pictures) - len(stored))
        return tuple(stored)

    def withdraw(self, lease: Lease) -> None:
        """Delete what is stored of an execution that has ended without a result."""
        if self.storing.forget(lease):
            self._files.delete(lease.artifact_prefix)

    def discard(self, lease: Lease) -> None:
        """Delete all files of the execution."""
        self.storing.forget(lease)
        self._files.delete(f"{self._segments.root}/{lease.artifact_prefix}")
        self._files.delete(lease.artifact_prefix)

    def forget(self, lease: Lease) -> None:
        """Store nothing more for the execution; another execution may use or delete its files."""
        self.storing.forget(lease)

    def close(self, within_s: float) -> None:
        """Store no more pictures; return when that has ended, or the time is over."""
        self.storing.close(within_s)

    def _kept(self, lease: Lease, made: int) -> tuple[StoredImage, ...]:
        """The pictures that a job keeps, once all that it has made are stored: the best of its candidates, or all."""
        stored, select = self.storing.all(lease), lease.generation.select
        self._tell_of_withheld(lease, made - len(stored))
        if select is None:
            return stored
        return tuple(stored[place] for place in best(stored, select.by, select.keep))

    def _whole(self, lease: Lease, pictures: tuple[Picture, ...]) -> Iterator[Picture]:
        """The pictures that a job keeps, with their pixels: those of candidates are in the store."""
        if stores_enlarged_alone(lease.generation):
            yield from pictures
            return
        for image in self._kept(lease, len(pictures)):
            pixels = read_whole_picture(self._artifacts.get(image.key))
            yield replace(pictures[image.index], raster=Raster(pixels))

    def _index(self, lease: Lease, pictures: tuple[Picture, ...], images: tuple[StoredImage, ...]) -> None:
        """Store the pictures' embeddings by the aesthetic scorer, for the search."""
        rows = {
            picture.index: picture.embedding.tolist()
            for picture in (pictures[image.index] for image in images if pictures)
            if picture.embedding is not None
        }
        if rows:
            key, segment = self._segments.encode(Segment.of(lease.job_id, lease.fence, rows, lease.tenant))
            self._files.put(key, segment)

    def _tell_of_withheld(self, lease: Lease, number: int) -> None:
        if number:
            log.warning("pictures withheld", job=lease.job_id, number=number)
            self._leases.note(
                lease, f"{number} of the pictures did not pass the operator's safety check, and are not kept."
            )

    @staticmethod
    def _require_some(pictures: tuple[Picture, ...], images: tuple[StoredImage, ...]) -> None:
        if pictures and not images:
            raise ContentBlockedError("no picture has passed the operator's safety check")

    def _store(self, lease: Lease, picture: Picture) -> StoredImage | None:
        written = self._writer.write(picture, lease.generation, lease.artifact_prefix)
        if written is None:
            return None
        self._files.put(written.image.key, written.png)
        return written.image

    def _keep_embedding(self, lease: Lease, done: Done) -> None:
        """Keep the embedding before the job is settled, since callers may use it right after the job's end."""
        if self._leases.renew(lease) is Standing.LOST:
            raise LeaseLostError(lease.job_id)
        for attempt in attempts():
            with attempt:
                EmbeddingLibrary(self._artifacts, lease.tenant).put_new(
                    done.name, done.file, lease.artifact_prefix
                )

    def _revoke(self, lease: Lease, name: str) -> None:
        try:
            EmbeddingLibrary(self._artifacts, lease.tenant).take_back(name, lease.artifact_prefix)
        except OSError:
            # Its name stays taken until it is deleted.
            log.exception("embedding could not be deleted", job=lease.job_id, embedding=name)

    def _fail_unstored(self, lease: Lease, what: str, error: OSError) -> JobStatus:
        log.exception("artifact store failed", job=lease.job_id)
        reason = f"{what} could not be stored: {error.strerror or type(error).__name__}"
        return self._leases.fail(lease, JobFailedError(reason))
