"""Replicate's HTTP API, as the ``replicate`` client calls it; see ``docs/replicate.md``."""

import re
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.sse import EventSourceResponse
from starlette.concurrency import run_in_threadpool

from app.api.access.keys.needs import needs
from app.api.dialects.addresses import base_of
from app.api.dialects.replicate.clients import output_for, reads_no_http
from app.api.dialects.replicate.models import model_named, model_of_version
from app.api.dialects.replicate.prediction import awaited, prediction, prediction_page
from app.api.dialects.replicate.request import (
    PredictionBody,
    VersionedPredictionBody,
    notes_of,
    picture_suffix,
    to_native,
)
from app.api.dialects.replicate.stream import events
from app.api.dialects.streaming import UNBUFFERED
from app.api.dialects.submission import submit
from app.api.following.preference import MAX_WAIT_S, Prefer, await_end_if_possible, preferred_wait_s
from app.api.intake.intake import IntakeRoute
from app.api.routes.jobs import IdempotencyKey
from app.api.routes.webhooks import WebhookSecret, get_webhook_secret
from app.api.services import Services, TheServices, services_of
from jobs.callers.scopes import Scope
from jobs.catalog.models import ModelCard
from jobs.errors import UnknownJobError
from jobs.queue.queue import JobQueue
from jobs.queue.submission import Presentation
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
    card = model_of_version(body.version, services.catalog)
    return await _start(request, response, body, card, prefer, idempotency_key)


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
    card = model_named(owner, name, services.catalog)
    return await _start(request, response, body, card, prefer, idempotency_key)


@router.get("/predictions")
@needs(Scope.JOBS_READ)
def list_predictions(request: Request, services: TheServices, cursor: str | None = None) -> dict[str, Any]:
    """One page of all jobs that generate pictures, by whatever route they came."""
    return prediction_page(base_of(request), services.queue.list(cursor=cursor, limit=_PAGE))


@router.get("/predictions/{job_id}")
@needs(Scope.JOBS_READ)
def get_prediction(job_id: str, request: Request, services: TheServices) -> dict[str, Any]:
    """A prediction now."""
    return _shown(request, services, _drawn(services.queue, job_id))


@router.get("/predictions/{job_id}/stream")
@needs(Scope.JOBS_READ)
async def stream_prediction(job_id: str, request: Request, services: TheServices) -> Response:
    """The pictures of a prediction as soon as there are any, as server-sent events."""
    job = await run_in_threadpool(partial(_drawn, services.queue, job_id))
    return EventSourceResponse(events(request, job), headers=UNBUFFERED)


@router.post("/predictions/{job_id}/cancel")
@needs(Scope.JOBS_WRITE)
def cancel_prediction(job_id: str, request: Request, services: TheServices) -> dict[str, Any]:
    """Cancel a waiting prediction at once, or request that a running one stops at its next step."""
    return _shown(request, services, services.queue.cancel(_drawn(services.queue, job_id).id))


@router.get("/webhooks/default/secret")
@needs(Scope.JOBS_WRITE)
async def get_default_webhook_secret(services: TheServices) -> WebhookSecret:
    """The secret that verifies webhook messages; as ``/v1/webhooks/secret``."""
    return await get_webhook_secret(services)


def _shown(request: Request, services: Services, job: Job) -> dict[str, Any]:
    shown = prediction(base_of(request), job, output_for(request, services, job))
    if reads_no_http(request):
        shown["urls"]["stream"] += "?output=data"
    return shown


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
    card: ModelCard,
    prefer: str | None,
    idempotency_key: str | None,
) -> dict[str, Any]:
    wanted, names = to_native(body, card, services_of(request).catalog)
    presentation = Presentation(base_of(request), picture_suffix(body), notes_of(body, wanted))
    job = (await submit(request, wanted, names, idempotency_key, presentation=presentation)).job
    if (wait_s := _wait_s(prefer)) is not None:
        job = await await_end_if_possible(request, job, wait_s)
        if not job.status.is_terminal:
            response.status_code = 202
            return awaited(base_of(request), job)
    return await run_in_threadpool(partial(_shown, request, services_of(request), job))


def _wait_s(prefer: str | None) -> float | None:
    """Seconds to hold an answer back: a little less than asked for.

    The client gives up half a second after the time that it asks for, and then has no prediction at all.
    """
    asked = preferred_wait_s(prefer)
    if asked is None and _BARE_WAIT.search(prefer or ""):
        asked = MAX_WAIT_S
    return None if asked is None else max(asked - 2.0, asked / 2)
