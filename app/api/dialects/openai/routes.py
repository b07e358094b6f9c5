"""OpenAI's images API, as the ``openai`` SDK calls it; see ``docs/openai.md``."""

from fastapi import APIRouter, Request
from fastapi.sse import EventSourceResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from app.api.access.keys.needs import needs, needs_key
from app.api.dialects.openai.answer import images_response
from app.api.dialects.openai.edit import ImageEdit, ImageVariation
from app.api.dialects.openai.edit_body import read_edit
from app.api.dialects.openai.request import ImageGeneration, to_native
from app.api.dialects.openai.stream import events
from app.api.dialects.openai.transparency import with_start
from app.api.dialects.streaming import UNBUFFERED
from app.api.dialects.submission import submit
from app.api.following.waiting import await_end, hang_up_policy, require_success
from app.api.following.watch import cancel_quietly
from app.api.intake.intake import IntakeRoute
from app.api.routes.jobs import IdempotencyKey
from app.api.routes.models import model_info
from app.api.services import Services, TheServices
from jobs.callers.scopes import Scope
from jobs.queue.submission import Presentation
from jobs.status.models import ModelInfo

router = APIRouter(prefix="/v1", include_in_schema=False, route_class=IntakeRoute)


@router.post("/images/generations")
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def generate(
    request: Request,
    body: ImageGeneration,
    services: TheServices,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make pictures and answer with them; the call lasts as long as the job."""
    return await _made(request, body, services, idempotency_key)


@router.post("/images/edits")
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def edit(request: Request, services: TheServices, idempotency_key: IdempotencyKey = None) -> Response:
    """Make pictures of a picture, or paint a part of it anew."""
    body = await with_start(request, await read_edit(request, ImageEdit), own_mask=True)
    return await _made(request, body, services, idempotency_key)


@router.post("/images/variations")
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def vary(request: Request, services: TheServices, idempotency_key: IdempotencyKey = None) -> Response:
    """Make pictures of a picture without a prompt."""
    asked = await read_edit(request, ImageVariation)
    read = asked.read_by(services.catalog.model(asked.model))
    body = read or await with_start(request, asked, own_mask=False)
    return await _made(request, body, services, idempotency_key)


@router.get("/models/{model_id:path}")
@needs_key
async def get_model(model_id: str, services: TheServices) -> ModelInfo:
    """One model, as the list at ``/v1/models`` has it."""
    return model_info(services.catalog.model(model_id), services)


async def _made(
    request: Request, body: ImageGeneration, services: Services, idempotency_key: str | None
) -> Response:
    wanted, names = to_native(body, services.catalog)
    presentation = Presentation(notes=body.notes(wanted))
    job = (await submit(request, wanted, names, idempotency_key, presentation=presentation)).job
    hang_up = hang_up_policy(idempotency_key)
    if body.stream:
        # Runs also when the client has hung up, which ends the stream before its job.
        ending = BackgroundTask(cancel_quietly, services.queue, job.id) if hang_up == "cancel" else None
        stream = events(request, job, body, on_hang_up=hang_up)
        return EventSourceResponse(stream, headers=UNBUFFERED, background=ending)
    job = require_success(await await_end(request, job, on_hang_up=hang_up))
    # A thread builds the megabytes of base64, so that the event loop goes on.
    return await run_in_threadpool(lambda: JSONResponse(images_response(request, job, body)))
