"""Pictures as PNG files with their request in text chunks."""

import io

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jobs.requests.request import ResolvedRequest
from jobs.status.job import StoredImage
from worker.pictures.infotext import infotext
from worker.pictures.picture import Picture
from worker.raster import Raster

PREVIEW_PX = 256
# Of zlib. Its default, 6, takes up to four times as long for files that are up to a seventh smaller
# (``python -m benchmarks.gpu store``).
COMPRESSION = 3


def encode_png(picture: Picture, request: ResolvedRequest) -> bytes:
    """The PNG of a picture, with the request in a ``parameters`` text chunk and, as JSON, in ``lodestar``.

    The same picture and request give the same bytes.
    """
    chunks = PngInfo()
    chunks.add_itxt("parameters", infotext(picture.seed, request, picture.index))
    # Previews do not change the picture.
    chunks.add_itxt("lodestar", request.model_dump_json(exclude={"preview_every_steps"}))
    file = io.BytesIO()
    Image.fromarray(picture.raster.levels()).save(file, "PNG", pnginfo=chunks, compress_level=COMPRESSION)
    return file.getvalue()


def encode_preview(raster: Raster) -> bytes:
    """A small JPEG of a picture, at most 256 pixels wide and high."""
    image = Image.fromarray(raster.levels())
    image.thumbnail((PREVIEW_PX, PREVIEW_PX))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def picture_key(prefix: str, index: int) -> str:
    """The key of a picture of an execution in the artifact store."""
    return f"{prefix}/{index}.png"


def stored_image(prefix: str, picture: Picture) -> StoredImage:
    """The record of a picture that an execution has stored."""
    width, height = picture.raster.size
    return StoredImage(
        index=picture.index,
        seed=picture.seed,
        width=width,
        height=height,
        key=picture_key(prefix, picture.index),
        clip_score=round(picture.clip_score, 4),
        aesthetic_score=None if picture.aesthetic_score is None else round(picture.aesthetic_score, 4),
        trace=picture.trace,
    )
