"""Server-sent events of one job or of all, and previews."""

from base64 import b64decode
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from pydantic import BeforeValidator

from app.api.access.keys.needs import needs
from app.api.following.event_stream import open_stream
from app.api.intake.intake import IntakeRoute
from app.api.problems.handlers import documented
from app.api.routes.jobs import JobId, PictureNumber
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.errors import UnknownImageError
from jobs.events.timeline import Timeline, timeline_of

router = APIRouter(prefix="/v1", tags=["events"], route_class=IntakeRoute)

_TEXT = {"type": "string"}
_EVENT = {"type": "object", "properties": dict.fromkeys(("event", "data", "id"), _TEXT), "required": ["data"]}
_STREAM: dict[int | str, dict[str, Any]] = {
    # By OpenAPI 3.2 both say the same: `schema` is that of all items. Generators of before know nothing but this.
    200: {
        "content": {
            "text/event-stream": {"schema": {"type": "array", "items": _EVENT}, "itemSchema": _EVENT}
        },
        "description": "The events.",
    }
}
LastEventId = Annotated[
    str | None,
    Header(
        description="`id` of the last event that was seen, to go on after it; browsers send it by themselves.",
        examples=["1767225600000-0"],
    ),
]


def _readable(text: object) -> object:
    """Replace bytes that are no text: the id is then unknown, and the request still valid."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else text


LastEventIdInQuery = Annotated[
    str | None,
    BeforeValidator(_readable),
    Query(
        alias="last_event_id",
        description="The same, for an EventSource that is made anew and can set no header. The header wins.",
        examples=["1767225600000-0"],
    ),
]


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    response_class=Response,
    responses={
        **_STREAM,
        204: {"description": "The job has ended and its final event was seen: there is nothing to come."},
        **documented("unknown_job", "queue_unavailable"),
    },
)
@needs(Scope.JOBS_READ)
async def follow_job(
    job_id: JobId,
    services: TheServices,
    last_event_id: LastEventId = None,
    resume_after: LastEventIdInQuery = None,
) -> Response:
    """Server-sent events: `snapshot` (the job now), then every later event.

    They are `queued`, `started`, `progress`, `preview`, `candidate`, `log`, `canceling`, `done` (the final job) and
    `deleted`. The stream ends after `done` or `deleted`.
    """
    return await open_stream(services, job_id, last_event_id or resume_after)


@router.get(
    "/events",
    summary="Follow all jobs",
    response_class=Response,
    responses={**_STREAM, **documented("queue_unavailable")},
)
@needs(Scope.JOBS_READ)
async def follow_jobs(
    services: TheServices, last_event_id: LastEventId = None, resume_after: LastEventIdInQuery = None
) -> Response:
    """Server-sent events of every job: a `snapshot` with the number of jobs of each status, then events without end."""
    return await open_stream(services, None, last_event_id or resume_after)


@router.get(
    "/jobs/{job_id}/timeline",
    summary="Tell a job's history",
    responses=documented("unknown_job", "queue_unavailable"),
)
@needs(Scope.JOBS_READ)
async def get_timeline(job_id: JobId, services: TheServices) -> Timeline:
    """When a job was queued, started, lost with its worker, queued again and done, and what its log says."""
    return timeline_of(await services.events.kept(job_id))


@router.get(
    "/jobs/{job_id}/previews/{index}",
    summary="Get a preview",
    response_class=Response,
    response_description="The newest preview of a picture.",
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **documented("unknown_job", "unknown_image", "queue_unavailable"),
    },
)
@needs(Scope.IMAGES_READ)
async def get_preview(
    job_id: JobId,
    index: PictureNumber,
    services: TheServices,
) -> Response:
    """The newest preview of a picture, a small JPEG, of a running job with `preview_every_steps`."""
    found = await services.events.preview(job_id, index)
    if found is None:
        await services.events.look(job_id)
        raise UnknownImageError(f"job {job_id} has no preview of picture {index}, or no more")
    return Response(b64decode(found), headers={"Cache-Control": "no-store"}, media_type="image/jpeg")
