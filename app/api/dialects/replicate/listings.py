"""Replicate's lists: models, their versions, deployments. Everything of the catalog is on one page."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from app.api.access.keys.needs import needs_key
from app.api.dialects.replicate.clients import OwnClientsRoute
from app.api.dialects.replicate.models import (
    deployment_object,
    model_named,
    model_object,
    model_of_version,
    version_object,
)
from app.api.intake.intake import IntakeRoute
from app.api.services import TheServices
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError

router = APIRouter(prefix="/v1", include_in_schema=False, route_class=IntakeRoute)
own_router = APIRouter(prefix="/v1", include_in_schema=False, route_class=OwnClientsRoute)
"""Takes a path that is OpenAI's too, so it comes before the routes of others."""

_MAX_QUERY_CHARS = 1000


@own_router.get("/models")
@needs_key
def list_models(request: Request, response: Response, services: TheServices) -> dict[str, Any]:
    """The models of the catalog, the default one first."""
    response.headers["Vary"] = "User-Agent"
    return _page([model_object(request, card) for card in services.catalog.models])


@router.api_route("/models", methods=["QUERY"])
@needs_key
async def search_models(request: Request, services: TheServices) -> dict[str, Any]:
    """The models whose name or description has every word of the body, in any case."""
    text = (await request.body()).decode("utf-8", "replace")
    if len(text) > _MAX_QUERY_CHARS:
        raise InvalidRequestError(f"a query has at most {_MAX_QUERY_CHARS} characters", field="query")
    words = _unquoted(text).lower().split()
    found = [card for card in services.catalog.models if all(word in _words(card) for word in words)]
    return _page([model_object(request, card) for card in found])


@router.get("/models/{owner}/{name}")
@needs_key
def get_model(owner: str, name: str, request: Request, services: TheServices) -> dict[str, Any]:
    """A model of the catalog."""
    return model_object(request, model_named(owner, name, services.catalog))


@router.get("/models/{owner}/{name}/readme")
@needs_key
def get_readme(owner: str, name: str, services: TheServices) -> PlainTextResponse:
    """The description of a model, as Markdown."""
    card = model_named(owner, name, services.catalog)
    return PlainTextResponse(f"# {card.id}\n\n{card.description}\n", media_type="text/markdown")


@router.get("/models/{owner}/{name}/examples")
@needs_key
def list_examples(owner: str, name: str, services: TheServices) -> dict[str, Any]:
    """No examples: nobody has chosen any."""
    model_named(owner, name, services.catalog)
    return _page([])


@router.get("/models/{owner}/{name}/versions")
@needs_key
def list_versions(owner: str, name: str, services: TheServices) -> dict[str, Any]:
    """The one version of a model."""
    return _page([version_object(services, model_named(owner, name, services.catalog))])


@router.get("/models/{owner}/{name}/versions/{version:path}")
@needs_key
def get_version(owner: str, name: str, version: str, services: TheServices) -> dict[str, Any]:
    """A version of a model, with the schema of its input."""
    card = model_of_version(f"{owner}/{name}:{version}", services.catalog)
    return version_object(services, card)


@router.get("/deployments")
@needs_key
def list_deployments(services: TheServices) -> dict[str, Any]:
    """Every model, as its own deployment."""
    return _page([deployment_object(card) for card in services.catalog.models])


@router.get("/deployments/{owner}/{name}")
@needs_key
def get_deployment(owner: str, name: str, services: TheServices) -> dict[str, Any]:
    """A model as its own deployment."""
    return deployment_object(model_named(owner, name, services.catalog))


def _page(results: list[dict[str, Any]]) -> dict[str, Any]:
    return {"previous": None, "next": None, "results": results}


def _unquoted(text: str) -> str:
    # The client for JavaScript sends a JSON string, the one for Python the text itself.
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _words(card: ModelCard) -> str:
    return f"{card.id} {card.description}".lower()
