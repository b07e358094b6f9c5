"""The HTTP API of A1111's web UI, as ``webuiapi`` calls it; see ``docs/a1111.md``."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from app.api.access.keys.needs import needs, needs_key
from app.api.dialects.a1111.answer import made_response, progress
from app.api.dialects.a1111.callers import Callers, caller_of, chosen_model
from app.api.dialects.a1111.image_to_image import ImageToImage, notes_on_scale
from app.api.dialects.a1111.networks import notes_of
from app.api.dialects.a1111.options import changes, shown
from app.api.dialects.a1111.request import NAMES, Options, TextToImage, to_native
from app.api.dialects.refusals import NotSupportedError
from app.api.dialects.submission import submit
from app.api.following.waiting import await_end, hang_up_policy, require_success
from app.api.intake.intake import IntakeRoute
from app.api.services import Services, TheServices
from jobs.callers.scopes import Scope
from jobs.queue.submission import Presentation
from jobs.status.job import Job, JobStatus

router = APIRouter(prefix="/sdapi/v1", include_in_schema=False, route_class=IntakeRoute)

TaskId = Annotated[str | None, Query(max_length=200)]


@router.post("/txt2img")
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def text_to_image(request: Request, body: TextToImage, services: TheServices) -> Response:
    """Make pictures and answer with them; the call lasts as long as the job."""
    return await _made(request, body, services)


@router.post("/img2img")
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def image_to_image(request: Request, body: ImageToImage, services: TheServices) -> Response:
    """Make pictures of a picture; the call lasts as long as the job."""
    return await _made(request, body, services)


@router.get("/progress")
@needs(Scope.JOBS_READ)
async def get_progress(
    request: Request,
    services: TheServices,
    force_task_id: TaskId = None,
    skip_current_image: bool = False,
) -> dict[str, Any]:
    """The progress of the caller's own job, the oldest if there are several, with a preview of its first picture."""
    job = await run_in_threadpool(partial(_current, request, services, force_task_id))
    wanted = job is not None and job.status is JobStatus.RUNNING and not skip_current_image
    return progress(job, await services.events.preview(job.id, 0) if job and wanted else None)


@router.post("/interrupt")
@needs(Scope.JOBS_WRITE)
def interrupt(request: Request, services: TheServices, force_task_id: TaskId = None) -> dict[str, Any]:
    """Stop the caller's own job, the oldest if there are several. It never stops another caller's."""
    if job := _current(request, services, force_task_id):
        services.queue.cancel(job.id)
    return {}


@router.post("/skip")
@needs(Scope.JOBS_WRITE)
def skip(request: Request, services: TheServices, force_task_id: TaskId = None) -> dict[str, Any]:
    """Stop the caller's own job of a single picture; of several pictures, none can be left out."""
    job = _current(request, services, force_task_id)
    if job and job.generation.num_images > 1:
        raise NotSupportedError("one picture of several cannot be skipped; interrupt stops them all")
    return interrupt(request, services, force_task_id)


@router.get("/options")
@needs_key
def get_options(request: Request, services: TheServices) -> dict[str, Any]:
    """The options of the caller: its model, what else it has set, and what is the same for all."""
    caller, callers = caller_of(request), Callers(services.redis)
    card = services.catalog.model(chosen_model(request, services))
    return shown(card, callers.changed(caller))


@router.post("/options")
@needs(Scope.JOBS_WRITE)
def set_options(request: Request, options: Annotated[Options, Body()], services: TheServices) -> None:
    """Set options of the caller's further requests; those that nobody may change are ignored."""
    card, kept = changes(options, services.catalog)
    caller, callers = caller_of(request), Callers(services.redis)
    if card is not None:
        callers.choose(caller, card.id)
    if kept:
        callers.change(caller, kept)


async def _made(request: Request, body: TextToImage, services: Services) -> Response:
    caller, callers = caller_of(request), Callers(services.redis)
    chosen = await run_in_threadpool(chosen_model, request, services)
    options = await run_in_threadpool(callers.changed, caller)
    wanted = to_native(body, chosen, services.catalog, options)
    key = body.force_task_id
    # A name of its own kind, which no caller's header can carry.
    owner, presentation = (
        f"a1111\n{caller}",
        Presentation(
            notes=(
                *body.notes(),
                *notes_on_scale(body, wanted),
                *notes_of(body.prompt, services.catalog),
            )
        ),
    )
    job = (await submit(request, wanted, NAMES, key, key_owner=owner, presentation=presentation)).job
    await run_in_threadpool(callers.add, caller, job.id, body.force_task_id)
    job = await await_end(request, job, on_hang_up=hang_up_policy(key))
    if job.status is not JobStatus.CANCELED:  # an interrupted job is no failure
        require_success(job)
    # A thread builds the megabytes of base64, so that the event loop goes on.
    return await run_in_threadpool(lambda: JSONResponse(made_response(services, job, body)))


def _current(request: Request, services: Services, task_id: str | None) -> Job | None:
    return Callers(services.redis).current(caller_of(request), services.queue, task_id)
