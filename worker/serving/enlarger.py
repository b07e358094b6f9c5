"""The larger pictures of an execution: those that it has made, or those that its caller has brought."""

import io
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

from PIL import Image

from jobs.errors import JobFailedError, UnknownImageError
from jobs.pictures.reader import read_picture, to_png
from jobs.queue.leases import Lease
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import EnlargeTask, LargerPicture
from jobs.status.job import StoredImage
from jobs.storage.artifacts import ArtifactStore
from worker.pictures.fitting import fitted, levels
from worker.pictures.inputs import DELETED, read_whole_picture
from worker.pictures.picture import Picture
from worker.pictures.png import encode_png, picture_key, stored_image
from worker.pictures.upscaling import FACTOR, held_upscaler
from worker.raster import Raster, quantized

Steps = Generator[None, None, tuple[StoredImage, ...]]


class Enlarger:
    """Upscales and stores pictures; yields after each tile."""

    def __init__(
        self,
        artifacts: ArtifactStore,
        kept: Callable[[Lease], tuple[StoredImage, ...]],
        put: Callable[[str, bytes], None],
        threads: int,
    ) -> None:
        """Load nothing yet.

        Args:
            artifacts: the store of the pictures.
            kept: the pictures that a job keeps, once all are stored.
            put: stores bytes under a key.
            threads: of the CPU.
        """
        self._artifacts, self._kept, self._put, self._threads = artifacts, kept, put, threads

    def of_job(self, lease: Lease, pictures: tuple[Picture, ...]) -> Steps:
        """Upscale the pictures that a job keeps.

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
            image = stored_image(lease.artifact_prefix, larger := replace(picture, raster=Raster(large)))
            self._put(image.key, encode_png(larger, lease.generation))
            stored.append(image)
            yield
        return tuple(stored)

    def of_task(self, lease: Lease, task: EnlargeTask, on_done: Callable[[], None]) -> Steps:
        """Enlarge the pictures that a task brings; errors as for ``of_job``.

        Args:
            lease: of the execution.
            task: its request.
            on_done: called after each picture.
        """
        upscaler = held_upscaler(task.network, self._threads)
        stored = []
        for index, asked in enumerate(task.pictures):
            small = levels(self._brought(asked)) / 255
            large = quantized((yield from upscaler.steps(small, FACTOR)))
            made = fitted(Image.fromarray(large.numpy()), asked.width, asked.height, task.fit)
            key = picture_key(lease.artifact_prefix, index)
            self._put(key, to_png(made))
            stored.append(StoredImage(index=index, seed=0, width=asked.width, height=asked.height, key=key))
            on_done()
            yield
        return tuple(stored)

    def _brought(self, asked: LargerPicture) -> Image.Image:
        try:
            png = self._artifacts.get(asked.key)
        except UnknownImageError as error:
            raise JobFailedError(DELETED) from error
        return read_picture(io.BytesIO(png), "a stored picture")

    def _whole(self, lease: Lease, pictures: tuple[Picture, ...]) -> Iterator[Picture]:
        """The pictures that a job keeps, with their pixels: those of candidates are in the store."""
        if stores_enlarged_alone(lease.generation):
            yield from pictures
            return
        for image in self._kept(lease):
            pixels = read_whole_picture(self._artifacts.get(image.key))
            yield replace(pictures[image.index], raster=Raster(pixels))


def stores_enlarged_alone(request: ResolvedRequest) -> bool:
    """Whether a job's own pictures are not stored, since only larger ones are kept and nothing is chosen before."""
    return request.upscale is not None and request.select is None
