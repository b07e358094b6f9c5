"""The catalog in Replicate's form: models with an owner, each of one version.

A catalog's id without a slash belongs to the owner ``lodestar``; one with a slash names its owner itself.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from fastapi import Request

from app.api.dialects.addresses import absolute
from app.api.dialects.replicate.request import PredictionInput
from app.api.routes.models import model_info
from app.api.services import Services, services_of
from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import UnknownModelError

OWNER = "lodestar"


def reference_to(model_id: str) -> str:
    """``owner/name`` of a model."""
    return model_id if "/" in model_id else f"{OWNER}/{model_id}"


def model_named(owner: str, name: str, catalog: Catalog) -> ModelCard:
    """The card of ``owner/name``.

    Raises:
        UnknownModelError: the catalog has no such model.
    """
    return _find(f"{owner}/{name}", catalog, field=None)


def model_of_version(version: str, catalog: Catalog) -> ModelCard:
    """The card that a version stands for: a catalog's id, ``owner/name``, or ``owner/name:id``.

    Raises:
        UnknownModelError: the catalog has no such model.
    """
    reference, _, own_id = version.partition(":")
    card = _find(reference, catalog, field="version", bare=True)
    if own_id and own_id not in card.names:
        raise UnknownModelError(f"{reference!r} has no version but {card.id!r}", field="version")
    return card


def model_object(request: Request, card: ModelCard) -> dict[str, Any]:
    """A model. One whose id has a slash is also what OpenAI's clients look for under the same path."""
    owner, _, name = reference_to(card.id).partition("/")
    services = services_of(request)
    shared = model_info(card, services).model_dump(mode="json") if "/" in card.id else {}
    return {
        **shared,
        "url": absolute(request, f"/v1/models/{owner}/{name}"),
        "owner": owner,
        "name": name,
        "description": card.description,
        "visibility": "public",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "cover_image_url": None,
        "run_count": 0,
        "default_example": None,
        "latest_version": version_object(services, card),
    }


def deployment_object(card: ModelCard) -> dict[str, Any]:
    """A model as its own deployment, which has no releases."""
    owner, _, name = reference_to(card.id).partition("/")
    return {"owner": owner, "name": name, "current_release": None}


def version_object(services: Services, card: ModelCard) -> dict[str, Any]:
    """The one version of a model, with the schema of its input and output."""
    return {
        "id": card.id,
        "created_at": services.catalog_file.read_at.isoformat().replace("+00:00", "Z"),
        "cog_version": "0.3.9",  # not made by Cog; before this version, clients took a list for an iterator
        "openapi_schema": {
            "openapi": "3.0.2",
            "info": {"title": reference_to(card.id), "version": "1"},
            "paths": {},
            "components": {"schemas": _schemas()},
        },
    }


@cache
def _schemas() -> Mapping[str, Any]:
    """Those of input and output, the same of every model; made once, since that takes as long as 30 answers."""
    schema = PredictionInput.model_json_schema(ref_template="#/components/schemas/{model}")
    parts: dict[str, Any] = schema.pop("$defs", {})
    schema["title"] = "Input"
    schema["properties"].pop("model")  # the version names it
    output = {"title": "Output", "type": "array", "items": {"type": "string", "format": "uri"}}
    return {**parts, "Input": schema, "Output": output}


def _find(reference: str, catalog: Catalog, *, field: str | None, bare: bool = False) -> ModelCard:
    for card in catalog.models:
        if any(reference == reference_to(name) or (bare and reference == name) for name in card.names):
            return card
    known = ", ".join(reference_to(card.id) for card in catalog.models)
    raise UnknownModelError(f"there is no model {reference!r}; there are: {known}", field=field)
