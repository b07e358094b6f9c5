"""Pictures as PNG files with their request in text chunks."""

import io
from uuid import NAMESPACE_URL, uuid5

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jobs.pictures.mark import PNG_KEYWORD, DigitalSource, Mark, our_generator
from jobs.requests.request import ResolvedRequest
from jobs.status.job import StoredImage
from jobs.status.safety import Safety
from worker.pictures.infotext import infotext
from worker.pictures.picture import Picture
from worker.raster import Raster

PREVIEW_PX = 256
# Of zlib. Its default, 6, takes up to four times as long for files that are up to a seventh smaller
# (``python -m benchmarks.gpu store``).
COMPRESSION = 3
_NO_MATTER = {"preview_every_steps"}  # previews do not change the picture


def encode_png(picture: Picture, request: ResolvedRequest, *, marked: bool = True) -> bytes:
    """The PNG of a picture, with the request in a ``parameters`` text chunk and, as JSON, in ``lodestar``.

    The same picture and request give the same bytes.

    Args:
        picture: to write.
        request: of its job.
        marked: whether its file says that a model has made it.
    """
    chunks = PngInfo()
    if marked:
        chunks.add_itxt(PNG_KEYWORD, mark_of(request, picture.index).packet)
    chunks.add_itxt("parameters", infotext(picture.seed, request, picture.index))
    chunks.add_itxt("lodestar", request.model_dump_json(exclude=_NO_MATTER))
    file = io.BytesIO()
    Image.fromarray(picture.raster.levels()).save(file, "PNG", pnginfo=chunks, compress_level=COMPRESSION)
    return file.getvalue()


def mark_of(request: ResolvedRequest, index: int) -> Mark:
    """The mark of a job's picture. Where a mask keeps a part of somebody's picture, it says so."""
    keeps_a_part = request.mask is not None or request.outpaint is not None
    return Mark(
        DigitalSource.COMPOSITE if keeps_a_part else DigitalSource.GENERATED,
        our_generator(),
        request.model,
        f"urn:uuid:{uuid5(NAMESPACE_URL, f'{request.model_dump_json(exclude=_NO_MATTER)}#{index}')}",
    )


def encode_preview(raster: Raster, *, marked: bool = True) -> bytes:
    """A small JPEG of a picture, at most 256 pixels wide and high."""
    image = Image.fromarray(raster.levels())
    image.thumbnail((PREVIEW_PX, PREVIEW_PX))
    file = io.BytesIO()
    packet = Mark(generator=our_generator()).packet.encode() if marked else b""
    image.save(file, "JPEG", quality=80, xmp=packet)
    return file.getvalue()


def picture_key(prefix: str, index: int) -> str:
    """The key of a picture of an execution in the artifact store."""
    return f"{prefix}/{index}.png"


def stored_image(prefix: str, picture: Picture, safety: Safety | None = None) -> StoredImage:
    """The record of a picture that an execution has stored, with the finding of the classifier if there is one."""
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
        safety=safety,
    )
