"""The lists of A1111's API; empty ones for features that do not exist here."""

from typing import Any

from fastapi import APIRouter, Request

from app.api.access.keys.needs import needs_key
from app.api.dialects.a1111.callers import chosen_model
from app.api.dialects.a1111.checkpoints import file_name, title_of
from app.api.dialects.a1111.guidance import ARGUMENTS, TITLE
from app.api.dialects.a1111.networks import listed, listed_inversions
from app.api.dialects.a1111.samplers import ALIASES
from app.api.intake.intake import IntakeRoute
from app.api.services import TheServices
from jobs.requests.enlarging import LATENT_MODES, NETWORKS
from jobs.requests.guidance import Guidance
from jobs.requests.labels import HIRES_LABELS, LABELS, SCHEDULE_LABELS

router = APIRouter(prefix="/sdapi/v1", include_in_schema=False, route_class=IntakeRoute)


@router.get("/sd-models")
@needs_key
def list_models(services: TheServices) -> list[dict[str, Any]]:
    """The models of the catalog. Their files' names are made of their ids, whatever they are on the workers."""
    return [
        {
            "title": title_of(card),
            "model_name": card.id,
            "hash": card.short_hash,
            "sha256": card.sha256.get(card.path.name) if card.path is not None else None,
            "filename": file_name(card),
            "config": None,
        }
        for card in services.catalog.models
    ]


@router.get("/samplers")
@needs_key
def list_samplers() -> list[dict[str, Any]]:
    """The samplers, by A1111's names."""
    return [
        {
            "name": label,
            "aliases": [alias for alias, meant in ALIASES.items() if meant is sampler],
            "options": {},
        }
        for sampler, label in LABELS.items()
    ]


@router.get("/schedulers")
@needs_key
def list_schedules() -> list[dict[str, Any]]:
    """The noise schedules, by A1111's names."""
    return [
        {
            "name": label.lower(),
            "label": label,
            "aliases": None,
            "default_rho": -1.0,
            "need_inner_model": False,
        }
        for label in SCHEDULE_LABELS.values()
    ]


@router.get("/scripts")
@needs_key
def list_scripts() -> dict[str, list[str]]:
    """The only script: CLIP guidance."""
    return {"txt2img": [TITLE.lower()], "img2img": [TITLE.lower()]}


@router.get("/script-info")
@needs_key
def describe_scripts() -> list[dict[str, Any]]:
    """The same with its arguments, in their order."""
    properties = Guidance.model_json_schema()["properties"]
    arguments = [_argument(name, properties.get(name, {"default": True})) for name in ARGUMENTS]
    return [
        {"name": TITLE.lower(), "is_alwayson": True, "is_img2img": is_img2img, "args": arguments}
        for is_img2img in (False, True)
    ]


@router.get("/cmd-flags")
@needs_key
def list_flags() -> dict[str, Any]:
    """No flags: this process has none of A1111's."""
    return {}


@router.get("/embeddings")
@needs_key
def list_embeddings(request: Request, services: TheServices) -> dict[str, Any]:
    """The textual inversions: those of the caller's model, and the others."""
    return listed_inversions(services.catalog, services.catalog.model(chosen_model(request, services)))


@router.get("/upscalers")
@needs_key
def list_upscalers() -> list[dict[str, Any]]:
    """What enlarges pictures, by A1111's names: all of them for ``hr_upscaler`` and for the extras."""
    names = ["None", *(label for upscaler, label in HIRES_LABELS.items() if upscaler not in LATENT_MODES)]
    unknown = dict.fromkeys(("model_name", "model_path", "model_url"))
    return [{"name": name, **unknown, "scale": 4.0} for name in names]


@router.get("/latent-upscale-modes")
@needs_key
def list_latent_modes() -> list[dict[str, str]]:
    """What enlarges latents, likewise: for ``hr_upscaler``."""
    return [{"name": HIRES_LABELS[upscaler]} for upscaler in LATENT_MODES]


@router.get("/realesrgan-models")
@needs_key
def list_networks() -> list[dict[str, Any]]:
    """The Real-ESRGAN networks among the upscalers."""
    return [
        {"name": label, "path": None, "scale": 4}
        for upscaler, label in HIRES_LABELS.items()
        if upscaler in NETWORKS
    ]


@router.get("/loras")
@needs_key
def list_adapters(services: TheServices) -> list[dict[str, Any]]:
    """The adapters of the catalog."""
    return listed(services.catalog)


@router.get("/sd-vae")
@router.get("/hypernetworks")
@router.get("/face-restorers")
@router.get("/prompt-styles")
@router.get("/extensions")
@router.get("/sd-modules")
@needs_key
def nothing_listed() -> list[Any]:
    """An empty list."""
    return []


def _argument(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    bounds = next((kind for kind in schema.get("anyOf", [schema]) if "minimum" in kind), schema)
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    return {
        "label": name,
        "value": schema.get("default"),
        "minimum": bounds.get("minimum"),
        "maximum": bounds.get("maximum"),
        "step": None,
        "choices": values,
    }
