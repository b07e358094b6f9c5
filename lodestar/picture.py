"""Finished pictures, as the client hands them out."""

import io
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.status.job import Job
from lodestar.errors import NotWritableError
from lodestar.inputs import pillow

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class PngFile:
    """A picture of the server, such as the map that a control reads. A notebook shows it.

    Attributes:
        data: the file, a PNG.
    """

    data: bytes = field(repr=False)

    @property
    def image(self) -> "Image":
        """Pillow's picture.

        Raises:
            MissingPackageError: Pillow is not installed.
        """
        image: Image = pillow(f"{type(self).__name__}.image").open(io.BytesIO(self.data))
        image.load()
        return image

    def save(self, path: "str | PathLike[str]") -> Path:
        """Write the PNG file; its path.

        Raises:
            NotWritableError: it cannot be written there.
        """
        return write_file(Path(path), self.data)

    def _repr_png_(self) -> bytes:
        return self.data


@dataclass(frozen=True)
class Picture(PngFile):
    """A finished picture.

    Attributes:
        data: the file, a PNG with its request in its text chunks.
        job: that made it.
        index: number within the job, from 0.
        seed: makes it again, with the job's request.
        clip_score: similarity to the prompt, from -1 to 1; None if nothing scored it.
        aesthetic_score: the predictor's score; None without a predictor.
        width: in pixels.
        height: in pixels.
    """

    job: Job = field(repr=False)
    index: int
    seed: int
    clip_score: float | None
    aesthetic_score: float | None
    width: int
    height: int

    @property
    def ref(self) -> str:
        """Its name on the server, ``JOB/INDEX``, which requests take for a picture."""
        return f"{self.job.id}/{self.index}"


def picture_of(job: Job, index: int, data: bytes) -> Picture:
    """A job's picture of this number, with its file."""
    (image,) = (image for image in job.images if image.index == index)
    return Picture(
        data=data,
        job=job,
        index=index,
        seed=image.seed,
        clip_score=image.clip_score,
        aesthetic_score=image.aesthetic_score,
        width=image.width,
        height=image.height,
    )


def write_file(path: Path, data: bytes) -> Path:
    """Write a file for the user; its path.

    Raises:
        NotWritableError: it cannot be written there.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise NotWritableError(f"cannot write {path}: {error.strerror}") from error
    return path
