"""A1111's calls that work on a finished picture: resizing it, describing it, and reading the request in its file."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from PIL import Image
from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.api.access.caller import caller_of
from app.api.access.keys.needs import needs
from app.api.dialects.a1111.callers import chosen_model
from app.api.dialects.a1111.extras.infotext import parameters_of, texts_of
from app.api.dialects.a1111.extras.resizing import BY_NETWORK, Resizing, Target, resampled
from app.api.dialects.a1111.extras.tasks import described, enlarged
from app.api.dialects.left_out import LeavesOut
from app.api.intake.intake import IntakeRoute
from app.api.pictures.fetching import TIMEOUT_S
from app.api.pictures.sources import find_source
from app.api.pictures.uploads import unpacked
from app.api.services import TheServices
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


class ToDescribe(OnePicture):
    """The body of ``interrogate``."""

    model: Literal["clip"] = "clip"


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
    (made,) = await _resized(request, body, {"image": body.image})
    return {"html_info": "", "image": made}


@router.post("/extra-batch-images")
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def resize_some(request: Request, body: ResizeSome) -> dict[str, Any]:
    """Several pictures at another size, in base64."""
    named = {f"imageList.{number}.data": each.data for number, each in enumerate(body.image_list)}
    return {"html_info": "", "images": await _resized(request, body, named)}


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
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def describe(request: Request, body: ToDescribe, services: TheServices) -> dict[str, str]:
    """The words that the CLIP of the caller's model finds most like a picture."""
    picture = await _read(request, await _found(request, body.image, "image"), "image")
    card = services.catalog.model(await run_in_threadpool(chosen_model, request, services))
    return {"caption": await described(request, picture, card)}


async def _resized(request: Request, how: Resizing, named: dict[str, Picture]) -> list[str]:
    """Pictures, by the fields that name them, at another size and in base64."""
    how.check()
    sources = [await _found(request, picture, field) for field, picture in named.items()]
    pictures = [await _read(request, source, field) for source, field in zip(sources, named, strict=True)]
    targets = {field: [how.target(each, field) for each in pictures] for field in how.upscalers}
    made = [await _by(request, name, pictures, targets[field]) for field, name in how.upscalers.items()]
    return [
        await unpacked(request, partial(_base64, how, list(results), source))
        for source, *results in zip(sources, *made, strict=True)
    ]


async def _by(
    request: Request, name: str, pictures: Sequence[Image.Image], targets: Sequence[Target]
) -> list[Image.Image]:
    """What an upscaler makes of each picture."""
    if network := BY_NETWORK.get(name):
        return await enlarged(request, network, pictures, targets)
    return [
        await unpacked(request, partial(resampled, picture, name, target))
        for picture, target in zip(pictures, targets, strict=True)
    ]


def _base64(how: Resizing, results: list[Image.Image], source: bytes) -> str:
    return b64encode(with_mark_of(source, to_png(how.together(results)))).decode()


async def _read(request: Request, source: bytes, field: str) -> Image.Image:
    return await unpacked(request, lambda: read_picture(source, "the picture", field=field, kept=Kept.WHOLE))


async def _found(request: Request, picture: Picture, field: str) -> bytes:
    until_s = asyncio.get_running_loop().time() + TIMEOUT_S
    return (await find_source(request, picture, caller_of(request), field, until_s)).data
