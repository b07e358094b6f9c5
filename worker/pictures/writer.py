"""Finished pictures and previews as the files that leave the worker: as the operator wants them."""

from dataclasses import dataclass

from jobs.requests.request import ResolvedRequest
from jobs.status.job import StoredImage
from worker.pictures.picture import Picture
from worker.pictures.png import encode_png, encode_preview, stored_image
from worker.pictures.safety import SafetyChecker
from worker.raster import Raster


@dataclass(frozen=True)
class Written:
    """A picture's file and its record."""

    image: StoredImage
    png: bytes


@dataclass(frozen=True)
class PictureWriter:
    """Writes pictures. Threads may share one.

    Attributes:
        marked: whether a file says that a model has made its picture.
        safety: screens every picture; None to screen none.
    """

    marked: bool = True
    safety: SafetyChecker | None = None

    def write(self, picture: Picture, request: ResolvedRequest, prefix: str) -> Written | None:
        """The PNG file of a picture of a job, and its record; None if it may not be stored.

        Args:
            picture: to write.
            request: of its job.
            prefix: of the execution's keys in the artifact store.

        Raises:
            JobFailedError: it is not finite.
        """
        screened = self.safety.screen(picture) if self.safety else None
        if self.safety and screened is None:
            return None
        shown = screened.picture if screened else picture
        image = stored_image(prefix, shown, screened.safety if screened else None)
        return Written(image, encode_png(shown, request, marked=self.marked))

    def preview(self, raster: Raster) -> bytes | None:
        """The small JPEG file of a preview; None if nobody may see pictures before they are screened."""
        if self.safety and self.safety.policy != "flag":
            return None
        return encode_preview(raster, marked=self.marked)
