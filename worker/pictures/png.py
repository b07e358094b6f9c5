"""Pictures as PNG files with their request in text chunks."""

import io

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from jobs.requests.request import ResolvedRequest
from jobs.status.job import StoredImage
from worker.finite import require_finite
from worker.pictures.infotext import infotext
from worker.pictures.picture import Picture

PREVIEW_PX = 256


def encode_png(picture: Picture, request: ResolvedRequest) -> bytes:
    """The PNG of a picture, with the request in a ``parameters`` text chunk and, as JSON, in ``lodestar``.

    The same picture and request give the same bytes.
    """
    chunks = PngInfo()
    chunks.add_itxt("parameters", infotext(picture.seed, request))
    # Previews do not change the picture.
    chunks.add_itxt("lodestar", request.model_dump_json(exclude={"preview_every_steps"}))
    file = io.BytesIO()
    _image(picture.pixels).save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


def encode_preview(pixels: Tensor) -> bytes:
    """A small JPEG of a picture [3, H, W] in [0, 1], at most 256 pixels wide and high."""
    image = _image(pixels)
    image.thumbnail((PREVIEW_PX, PREVIEW_PX))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def _image(pixels: Tensor) -> Image.Image:
    # Cast to integers, they would become black or any other colour without an error.
    require_finite(pixels, "a picture", after="drawing")
    return Image.fromarray((pixels * 255).round().to("cpu").numpy().astype(np.uint8).transpose(1, 2, 0))


def picture_key(prefix: str, index: int) -> str:
    """The key of a picture of an execution in the artifact store."""
    return f"{prefix}/{index}.png"


def stored_image(prefix: str, picture: Picture) -> StoredImage:
    """The record of a picture that an execution has stored."""
    height, width = picture.pixels.shape[-2:]
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
