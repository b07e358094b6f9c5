"""Replicate's HTTP API, as the ``replicate`` client calls it; see ``docs/replicate.md``."""

import re
from typing import Any

from fastapi import APIRouter, Request, Response

from app.api.access.keys.needs import needs, needs_key
from app.api.dialects.addresses import base_of
from app.api.dialects.replicate.models import model_named, model_object, model_of_version, version_object
from app.api.dialects.replicate.prediction import prediction, prediction_page, unfinished
from app.api.dialects.replicate.request import PredictionBody, VersionedPredictionBody, names_of, to_native
from app.api.dialects.submission import submit
from app.api.following.preference import MAX_WAIT_S, Prefer, await_end_if_possible, preferred_wait_s
from app.api.intake.intake import IntakeRoute
from app.api.routes.jobs import IdempotencyKey
from app.api.routes.webhooks import WebhookSecret, get_secret
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.errors import UnknownJobError
from jobs.queue.queue import JobQueue
from jobs.status.job import Job

router = APIRouter(prefix="/v1", include_in_schema=False, route_class=IntakeRoute)

_BARE_WAIT = re.compile(r"(^|[,;])\s*wait\s*($|[,;])", re.IGNORECASE)
_PAGE = 100


@router.post("/predictions", status_code=201)
@needs(Scope.JOBS_WRITE)
async def create(
    request: Request,
    response: Response,
    body: VersionedPredictionBody,
    services: TheServices,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Start a prediction with the model that ``version`` names."""
    model_id = model_of_version(body.version, services.catalog).id
    return await _start(request, response, body, model_id, prefer, idempotency_key)


@router.post("/models/{owner}/{name}/predictions", status_code=201)
@router.post("/deployments/{owner}/{name}/predictions", status_code=201)
@needs(Scope.JOBS_WRITE)
async def create_with_model(
    owner: str,
    name: str,
    request: Request,
    response: Response,
    body: PredictionBody,
    services: TheServices,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Start a prediction with a model; each one is also its own deployment."""
    model_id = model_named(owner, name, services.catalog).id
    return await _start(request, response, body, model_id, prefer, idempotency_key)


@router.get("/predictions")
@needs(Scope.JOBS_READ)
def list_predictions(request: Request, services: TheServices, cursor: str | None = None) -> dict[str, Any]:
    """One page of all jobs that generate pictures, by whatever route they came."""
    return prediction_page(base_of(request), services.queue.list(cursor=cursor, limit=_PAGE))


@router.get("/predictions/{job_id}")
@needs(Scope.JOBS_READ)
def get_prediction(job_id: str, request: Request, services: TheServices) -> dict[str, Any]:
    """A prediction now."""
    return prediction(base_of(request), _drawn(services.queue, job_id))


@router.post("/predictions/{job_id}/cancel")
@needs(Scope.JOBS_WRITE)
def cancel_prediction(job_id: str, request: Request, services: TheServices) -> dict[str, Any]:
    """Cancel a waiting prediction at once, or request that a running one stops at its next step."""
    return prediction(base_of(request), services.queue.cancel(_drawn(services.queue, job_id).id))


@router.get("/models/{owner}/{name}")
@needs_key
def get_model(owner: str, name: str, request: Request, services: TheServices) -> dict[str, Any]:
    """A model of the catalog."""
    return model_object(request, model_named(owner, name, services.catalog))


@router.get("/models/{owner}/{name}/versions")
@needs_key
def list_versions(owner: str, name: str, services: TheServices) -> dict[str, Any]:
    """The one version of a model."""
    card = model_named(owner, name, services.catalog)
    return {"previous": None, "next": None, "results": [version_object(services, card)]}


@router.get("/models/{owner}/{name}/versions/{version:path}")
@needs_key
def get_version(owner: str, name: str, version: str, services: TheServices) -> dict[str, Any]:
    """A version of a model, with the schema of its input."""
    card = model_of_version(f"{owner}/{name}:{version}", services.catalog)
    return version_object(services, card)


@router.get("/deployments/{owner}/{name}")
@needs_key
def get_deployment(owner: str, name: str, services: TheServices) -> dict[str, Any]:
    """A model as its own deployment."""
    model_named(owner, name, services.catalog)
    return {"owner": owner, "name": name, "current_release": None}


@router.get("/webhooks/default/secret")
@needs(Scope.JOBS_WRITE)
async def get_webhook_secret(services: TheServices) -> WebhookSecret:
    """The secret that verifies webhook messages; as ``/v1/webhooks/secret``."""
    return await get_secret(services)


def _drawn(queue: JobQueue, job_id: str) -> Job:
    """A job that generates pictures; a task is no prediction."""
    job = queue.get(job_id)
    if not job.generates:
        raise UnknownJobError(f"job {job_id!r} is not a prediction")
    return job


async def _start(
    request: Request,
    response: Response,
    body: PredictionBody,
    model_id: str,
    prefer: str | None,
    idempotency_key: str | None,
) -> dict[str, Any]:
    wanted = to_native(body, model_id)
    job = (await submit(request, wanted, names_of(body), idempotency_key, told_as_prediction=True)).job
    wait_s = _wait_s(prefer)
    if wait_s is None:
        return prediction(base_of(request), job)
    job = await await_end_if_possible(request, job, wait_s)
    if not job.status.is_terminal:
        response.status_code = 202
    return unfinished(base_of(request), job)


def _wait_s(prefer: str | None) -> float | None:
    """Seconds to hold an answer back: a little less than asked for.

    The client gives up half a second after the time that it asks for, and then has no prediction at all.
    """
    asked = preferred_wait_s(prefer)
    if asked is None and _BARE_WAIT.search(prefer or ""):
        asked = MAX_WAIT_S
    return None if asked is None else max(asked - 2.0, asked / 2)
