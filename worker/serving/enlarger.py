"""Enlarges the pictures that a task brings."""

from collections.abc import Callable, Generator

from PIL import Image

from jobs.errors import JobFailedError, UnknownImageError
from jobs.pictures.fitting import fitted
from jobs.pictures.reader import read_picture, to_png
from jobs.queue.leases import Lease
from jobs.requests.tasks import EnlargeTask, LargerPicture
from jobs.status.job import StoredImage
from jobs.storage.artifacts import ArtifactStore
from worker.pictures.inputs import DELETED
from worker.pictures.levels import levels
from worker.pictures.png import picture_key
from worker.pictures.upscaling import FACTOR, held_upscaler
from worker.raster import quantized
from worker.serving.files import ExecutionFiles

Steps = Generator[None, None, tuple[StoredImage, ...]]


class Enlarger:
    """Upscales and stores brought pictures; yields after each tile."""

    def __init__(self, artifacts: ArtifactStore, threads: int) -> None:
        """Load nothing yet.

        Args:
            artifacts: the store of the pictures.
            threads: of the CPU.
        """
        self._files, self._threads = ExecutionFiles(artifacts), threads

    def steps(self, lease: Lease, task: EnlargeTask, on_done: Callable[[], None]) -> Steps:
        """Enlarge the pictures of a task.

        Args:
            lease: of the execution.
            task: its request.
            on_done: called after each picture.

        Raises:
            LodestarError: a picture is gone, or cannot be upscaled.
            OSError: one cannot be stored.
        """
        upscaler = held_upscaler(task.network, self._threads)
        stored = []
        for index, asked in enumerate(task.pictures):
            small = levels(self._brought(asked)) / 255
            large = quantized((yield from upscaler.steps(small, FACTOR)))
            made = fitted(Image.fromarray(large.numpy()), asked.width, asked.height, task.fit)
            key = picture_key(lease.artifact_prefix, index)
            self._files.put(key, to_png(made))
            stored.append(StoredImage(index=index, seed=0, width=asked.width, height=asked.height, key=key))
            on_done()
            yield
        return tuple(stored)

    def _brought(self, asked: LargerPicture) -> Image.Image:
        try:
            png = self._files.artifacts.get(asked.key)
        except UnknownImageError as error:
            raise JobFailedError(DELETED) from error
        return read_picture(png, "a stored picture")
