"""The calls of A1111's ControlNet extension: its lists, and ``detect``."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import ConfigDict

from app.api.access.caller import caller_of
from app.api.access.keys.needs import needs, needs_key
from app.api.dialects.a1111.controlnet import image_prompts
from app.api.dialects.a1111.controlnet.modules import BY_DEFAULT, MODULES, map_fields
from app.api.dialects.left_out import LeavesOut
from app.api.intake.intake import IntakeRoute
from app.api.pictures.fetching import TIMEOUT_S
from app.api.pictures.sources import Source, find_source
from app.api.pictures.uploads import unpacked
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.pictures.maps.detection import Size, map_of
from jobs.pictures.reader import Kept, read_picture, to_png
from jobs.requests.conditions.controls import MAX_CONTROLS
from jobs.requests.conditions.maps import MAX_MAP_PX, MapRequest, Preprocessor, ResolvedMap
from jobs.requests.pictures import Picture
from jobs.resolve.maps import resolve_map
from jobs.wire import AtMost

router = APIRouter(prefix="/controlnet", include_in_schema=False, route_class=IntakeRoute)

MAX_PICTURES = 16
VERSION = 3  # of the extension's API

_Pictures = Annotated[tuple[Picture, ...], AtMost(MAX_PICTURES)]


class ToDetect(LeavesOut):
    """The body of ``detect``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    controlnet_module: str = "none"
    controlnet_input_images: _Pictures = ()
    controlnet_images: _Pictures = ()  # as ``webuiapi`` calls them
    controlnet_processor_res: int = 512
    controlnet_threshold_a: float = 64
    controlnet_threshold_b: float = 64

    @property
    def named(self) -> dict[str, Picture]:
        """Its pictures, by the fields that name them."""
        given = {name: getattr(self, name) for name in ("controlnet_input_images", "controlnet_images")}
        return {
            f"{name}.{number}": picture
            for name, pictures in given.items()
            for number, picture in enumerate(pictures)
        }


@router.get("/model_list")
@needs_key
def list_models(services: TheServices) -> dict[str, list[str]]:
    """The ControlNets of the catalog, and its adapters for image prompts."""
    return {"model_list": _models(services.catalog)}


@router.get("/module_list")
@needs_key
def list_modules() -> dict[str, list[str]]:
    """What makes maps, and what tells of pictures, by the extension's names."""
    return {"module_list": [*MODULES, *image_prompts.MODULES]}


@router.get("/control_types")
@needs_key
def list_types(services: TheServices) -> dict[str, Any]:
    """All together: every module of maps goes with every ControlNet. And image prompts by themselves."""
    catalog, modules = services.catalog, [*MODULES, *image_prompts.MODULES]
    types = {"All": _type(modules, _models(catalog))}
    if catalog.image_prompts:
        types["IP-Adapter"] = _type(image_prompts.MODULES, [card.id for card in catalog.image_prompts])
    return {"control_types": types}


def _models(catalog: Catalog) -> list[str]:
    return [card.id for card in (*catalog.controls, *catalog.image_prompts)]


def _type(modules: Sequence[str], models: Sequence[str]) -> dict[str, Any]:
    return {
        "module_list": list(modules),
        "model_list": ["None", *models],
        "default_option": modules[0],
        "default_model": models[0] if models else "None",
    }


@router.get("/version")
@needs_key
def get_version() -> dict[str, int]:
    """The version of the extension's API that units are read by."""
    return {"version": VERSION}


@router.get("/settings")
@needs_key
def get_settings() -> dict[str, int]:
    """How many units a request may have on."""
    return {"control_net_unit_count": MAX_CONTROLS}


@router.post("/detect")
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def detect(request: Request, body: ToDetect, services: TheServices) -> dict[str, Any]:
    """The maps of pictures, in base64."""
    if not body.named:
        raise InvalidRequestError("there is no picture", field="controlnet_input_images")
    thresholds = body.controlnet_threshold_a, body.controlnet_threshold_b
    how = map_fields(body.controlnet_module, thresholds, BY_DEFAULT, "controlnet_module")
    until_s = asyncio.get_running_loop().time() + TIMEOUT_S
    made = []
    for field, picture in body.named.items():
        wanted = resolve_map(MapRequest.model_validate({**how, "image": picture}), services.catalog)
        source = await find_source(request, picture, caller_of(request), field, until_s)
        png = await unpacked(request, partial(_made, source, wanted, body.controlnet_processor_res))
        made.append(b64encode(png).decode())
    return {"images": made, "info": "Success"}


def _made(source: Source, how: ResolvedMap, resolution: int) -> bytes:
    picture = read_picture(source.data, source.name, field=source.field, kept=Kept.WHOLE)
    return to_png(map_of(picture, how, _size(picture.size, how.preprocess, resolution), seed=0))


def _size(own: Size, preprocess: Preprocessor, resolution: int) -> Size:
    """A map has its picture's shape, and the resolution on its shorter side if the module looks at one."""
    keeps_size = preprocess in {Preprocessor.NONE, Preprocessor.TILE} or resolution <= 0
    wanted = 1.0 if keeps_size else resolution / min(own)
    scale = min(wanted, MAX_MAP_PX / max(own))
    return max(1, round(own[0] * scale)), max(1, round(own[1] * scale))
