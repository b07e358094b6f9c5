"""The maps that ControlNets read: made before a job, and fetched after it."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from PIL import Image

from app.api.access.caller import TheCaller
from app.api.access.keys.needs import needs
from app.api.intake.intake import OwnRoute
from app.api.pictures.fetching import TIMEOUT_S
from app.api.pictures.finished import find_map
from app.api.pictures.formats import Format
from app.api.pictures.sources import Source, find_source
from app.api.pictures.store_access import reaching_the_store
from app.api.pictures.uploads import unpacked
from app.api.problems.handlers import documented
from app.api.routes.images import BINARY
from app.api.routes.jobs import JobId
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.pictures.maps.detection import map_of
from jobs.pictures.reader import Kept, read_picture, to_png
from jobs.requests.conditions.maps import MAX_MAP_PX, MapRequest, ResolvedMap
from jobs.resolve.maps import resolve_map

router = APIRouter(prefix="/v1", tags=["images"], route_class=OwnRoute)

_PNG: dict[str, Any] = {"content": {Format.PNG.media_type: BINARY}}


@router.post(
    "/controls/detect",
    summary="Make a map",
    response_class=Response,
    response_description="The map, a PNG file in RGB.",
    responses={
        200: _PNG,
        **documented(
            "invalid_request",
            "invalid_file",
            "unknown_job",
            "unknown_image",
            "job_not_finished",
            "queue_unavailable",
            "artifacts_unavailable",
            "stopping",
            "invalid_json",
            "unsupported_media_type",
            "body_too_large",
        ),
    },
)
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def detect_map(
    request: Request, wanted: MapRequest, services: TheServices, caller: TheCaller
) -> Response:
    """The map that a control of a job would read, without a job: the same bytes for the same fields, size and seed."""
    how = resolve_map(wanted, services.catalog)
    until_s = asyncio.get_running_loop().time() + TIMEOUT_S
    source = await find_source(request, wanted.image, caller, "image", until_s)
    png = await unpacked(request, partial(_made, source, wanted, how))
    return Response(png, headers={"Cache-Control": "no-store"}, media_type=Format.PNG.media_type)


@router.get(
    "/jobs/{job_id}/maps/{number}",
    summary="Get a map that a job has read",
    response_class=Response,
    response_description="The map.",
    responses={
        200: _PNG,
        **documented(
            "invalid_request",
            "unknown_job",
            "unknown_image",
            "job_not_finished",
            "queue_unavailable",
            "artifacts_unavailable",
        ),
    },
)
@needs(Scope.IMAGES_READ)
def get_map(
    job_id: JobId,
    number: Annotated[
        int, Path(ge=0, description="Number of the control in the request, from 0.", examples=[0])
    ],
    services: TheServices,
) -> Response:
    """The map that a control of a job that has succeeded has read, at the size of the picture: a PNG file."""
    key = find_map(services.queue, job_id, number)
    with reaching_the_store():
        png = services.artifacts.get(key)
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(png, headers=headers, media_type=Format.PNG.media_type)


def _made(source: Source, wanted: MapRequest, how: ResolvedMap) -> bytes:
    picture = read_picture(source.data, source.name, field=source.field, kept=Kept.WHOLE)
    width, height = _own_size(picture)
    size = wanted.width or width, wanted.height or height
    return to_png(map_of(picture, how, size, wanted.seed))


def _own_size(picture: Image.Image) -> tuple[int, int]:
    """The size of a picture, or the largest of its shape that is allowed."""
    scale = min(1.0, MAX_MAP_PX / max(picture.size))
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
