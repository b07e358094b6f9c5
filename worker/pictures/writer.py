"""Finished pictures and previews as the files that leave the worker: as the operator wants them."""

from dataclasses import dataclass

from jobs.requests.request import ResolvedRequest
from worker.pictures.picture import Picture
from worker.pictures.png import encode_png, encode_preview
from worker.raster import Raster


@dataclass(frozen=True)
class PictureWriter:
    """Writes pictures. Threads may share one.

    Attributes:
        marked: whether a file says that a model has made its picture.
    """

    marked: bool = True

    def picture(self, picture: Picture, request: ResolvedRequest) -> bytes:
        """The PNG file of a picture of a job."""
        return encode_png(picture, request, marked=self.marked)

    def preview(self, raster: Raster) -> bytes:
        """The small JPEG file of a preview."""
        return encode_preview(raster, marked=self.marked)
