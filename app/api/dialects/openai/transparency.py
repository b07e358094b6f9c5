"""Masks as OpenAI has them: transparent where a picture is painted anew."""

import asyncio
import io
from base64 import b64encode
from functools import partial

from fastapi import Request
from PIL import Image

from app.api.access.caller import caller_of
from app.api.dialects.openai.edit import Body
from app.api.pictures.fetching import TIMEOUT_S
from app.api.pictures.sources import find_source
from app.api.pictures.uploads import unpacked
from jobs.errors import InvalidFileError
from jobs.pictures.reader import Kept, check_header, read_picture, to_png
from jobs.requests.pictures import Picture
from jobs.requests.start.mask import REPAINTED

_CLEAR = [255 * (255 - alpha >= REPAINTED) for alpha in range(256)]


async def with_start(request: Request, body: Body, *, own_mask: bool) -> Body:
    """A body with a native mask, white where its own, or else the picture itself, is transparent.

    Args:
        request: of the client.
        body: of the request.
        own_mask: whether the picture's own transparency is a mask if there is no other.

    Raises:
        InvalidFileError: one is no picture that is read, or the mask is opaque or of another size than the picture.
        LodestarError: as for ``find_source`` and ``unpacked``.
    """
    until_s = asyncio.get_running_loop().time() + TIMEOUT_S

    async def found(picture: Picture, field: str) -> bytes:
        return (await find_source(request, picture, caller_of(request), field, until_s)).data

    mask = None
    given = None if body.mask is None else body.mask.image
    if given is not None or own_mask:
        image = await found(body.image, "image")
        if given is None:
            mask = await unpacked(request, partial(_clear_part, image, "image"))
        else:
            data = await found(given, "mask")
            mask = await unpacked(request, partial(_mask, data, image))
    return body.with_start(None if mask is None else b64encode(to_png(mask)).decode())


def _mask(data: bytes, image: bytes) -> Image.Image:
    mask = _clear_part(data, "mask")
    if mask is None:
        raise InvalidFileError(
            "the mask is opaque: it has to be transparent where the picture is painted anew", field="mask"
        )
    header = check_header(io.BytesIO(image), "the picture", field="image")
    size = header.width, header.height
    if mask.size not in (size, size[::-1]):  # the picture may yet be turned
        raise InvalidFileError(
            f"the mask has {mask.width} x {mask.height} pixels and the picture {size[0]} x {size[1]}; they have to be "
            "the same",
            field="mask",
        )
    return mask


def _clear_part(data: bytes, field: str) -> Image.Image | None:
    """White where a picture is more transparent than opaque, black elsewhere; None if it is so nowhere."""
    picture = read_picture(data, f"the {field}", field=field, kept=Kept.WITH_ALPHA)
    if picture.mode != "RGBA":
        return None
    mask = picture.getchannel("A").point(_CLEAR)
    return mask if mask.getextrema()[1] else None
