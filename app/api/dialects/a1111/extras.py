"""A1111's calls that work on a finished picture: resizing it, and reading the request in its file."""

import asyncio
from base64 import b64encode
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field

from app.api.access.caller import caller_of
from app.api.access.keys.needs import needs, needs_key
from app.api.dialects.a1111.infotext import parameters_of, texts_of
from app.api.dialects.a1111.resizing import RESAMPLERS, Resizing
from app.api.dialects.left_out import LeavesOut
from app.api.dialects.refusals import NotSupportedError
from app.api.intake.intake import IntakeRoute
from app.api.pictures.fetching import TIMEOUT_S
from app.api.pictures.sources import find_source
from app.api.pictures.uploads import unpacked
from jobs.callers.scopes import Scope
from jobs.pictures.mark import with_mark_of
from jobs.pictures.reader import Kept, read_picture, to_png
from jobs.requests.pictures import Picture
from jobs.wire import AtMost

router = APIRouter(prefix="/sdapi/v1", include_in_schema=False, route_class=IntakeRoute)

MAX_PICTURES = 16


class OnePicture(LeavesOut):
    """A picture, and other fields, which are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    image: Picture


class ResizeOne(Resizing, OnePicture):
    """The body of ``extra-single-image``."""


class NamedPicture(LeavesOut):
    """A picture of a batch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    data: Picture


class ResizeSome(Resizing):
    """The body of ``extra-batch-images``."""

    image_list: Annotated[tuple[NamedPicture, ...], AtMost(MAX_PICTURES)] = Field(
        alias="imageList", min_length=1
    )


@router.post("/extra-single-image")
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def resize(request: Request, body: ResizeOne) -> dict[str, Any]:
    """A picture at another size, in base64."""
    return {"html_info": "", "image": await _resized(request, body, body.image, "image")}


@router.post("/extra-batch-images")
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def resize_some(request: Request, body: ResizeSome) -> dict[str, Any]:
    """Several pictures at another size, in base64."""
    pictures = [
        await _resized(request, body, each.data, f"imageList.{number}.data")
        for number, each in enumerate(body.image_list)
    ]
    return {"html_info": "", "images": pictures}


@router.post("/png-info")
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def read_texts(request: Request, body: OnePicture) -> dict[str, Any]:
    """The request that a picture's file carries, as it is written and in parts."""
    source = await _found(request, body.image, "image")
    texts = await unpacked(request, partial(texts_of, source, field="image"))
    text = texts.pop("parameters", "")
    return {
        "info": text,
        "items": {"parameters": text, **texts},
        "parameters": parameters_of(text) if text else {},
    }


@router.post("/interrogate")
@needs_key
def interrogate() -> None:
    """Refused: no model here describes a picture."""
    raise NotSupportedError("interrogate is not supported: no model here describes a picture in words")


@router.get("/upscalers")
@needs_key
def list_upscalers() -> list[dict[str, Any]]:
    """The ways of resizing that ``extra-single-image`` has, by A1111's names."""
    return [
        {"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": 4.0}
        for name in ("None", *RESAMPLERS)
    ]


async def _resized(request: Request, how: Resizing, picture: Picture, field: str) -> str:
    how.check()
    source = await _found(request, picture, field)
    return await unpacked(request, lambda: _made(source, how, field))


def _made(source: bytes, how: Resizing, field: str) -> str:
    picture = read_picture(source, "the picture", field=field, kept=Kept.WHOLE)
    return b64encode(with_mark_of(source, to_png(how.of(picture)))).decode()


async def _found(request: Request, picture: Picture, field: str) -> bytes:
    until_s = asyncio.get_running_loop().time() + TIMEOUT_S
    return (await find_source(request, picture, caller_of(request), field, until_s)).data
