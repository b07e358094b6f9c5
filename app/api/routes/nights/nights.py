"""Nights: begin, get, list, finish, cancel, delete."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.access.auditing import note, watcher
from app.api.access.caller import TheCaller, identity_of
from app.api.access.keys.needs import needs
from app.api.intake.intake import OwnRoute
from app.api.intake.night_plans import night_id_of, plan_night
from app.api.problems.handlers import documented
from app.api.routes.jobs import IdempotencyKey
from app.api.services import TheServices
from jobs.callers.audit import AuditAction
from jobs.callers.identity import view_of
from jobs.callers.scopes import Scope
from jobs.nights.nights import Nights
from jobs.status import links
from jobs.status.night import Night, NightList, NightRequest, NightStatus

router = APIRouter(prefix="/v1/nights", tags=["nights"], route_class=OwnRoute)

NightId = Annotated[str, Path(description="Id of the night.", examples=["01a203967d75b0c90aa928ee9db4"])]
_ERRORS = ("unknown_night", "queue_unavailable")


def _nights(request: Request, services: TheServices) -> Nights:
    nights: Nights = request.app.state.nights
    identity = identity_of(request)
    return nights.seen_by(replace(view_of(identity), on_foreign=watcher(request, services, identity)))


TheNights = Annotated[Nights, Depends(_nights)]


@router.post(
    "",
    status_code=201,
    summary="Begin a night",
    response_description="The night has begun.",
    responses=documented(
        "invalid_request",
        "unknown_model",
        "clip_mismatch",
        "no_image_tower",
        "artifacts_unavailable",
        "content_blocked",
        "moderation_unavailable",
        "idempotency_conflict",
        "queue_full",
        "queue_unavailable",
        "invalid_json",
        "unsupported_media_type",
        "body_too_large",
    ),
)
@needs(Scope.JOBS_WRITE)
async def begin_night(
    request: Request,
    response: Response,
    body: NightRequest,
    services: TheServices,
    nights: TheNights,
    caller: TheCaller,
    idempotency_key: IdempotencyKey = None,
) -> Night:
    """Draw one request again and again, each time with the next seed, until the time is over, and keep the best.

    The server does it: the caller need not stay. Its jobs have the priority `low`, unless the request has
    another. They are charged like any others; while a quota grants none, the night waits.
    """
    night_id = night_id_of(services.tenant, caller, idempotency_key)
    plan = await plan_night(request, body, night_id, caller)
    if not await run_in_threadpool(nights.begin, night_id, plan):
        response.headers["Idempotency-Replayed"] = "true"
    response.headers["Location"] = links.here(links.night(night_id))
    return await run_in_threadpool(nights.get, night_id)


@router.get("", summary="List nights", responses=documented("queue_unavailable"))
@needs(Scope.JOBS_READ)
def list_nights(nights: TheNights) -> NightList:
    """The newest hundred nights, each with its best three pictures."""
    return NightList(data=nights.list())


@router.get("/{night_id}", summary="Get a night", responses=documented(*_ERRORS))
@needs(Scope.JOBS_READ)
def get_night(night_id: NightId, nights: TheNights) -> Night:
    """The night now, with its race: when each picture came, and what it scored."""
    return nights.get(night_id)


@router.post("/{night_id}/finish", summary="Finish a night early", responses=documented(*_ERRORS))
@needs(Scope.JOBS_WRITE)
def finish_night(night_id: NightId, nights: TheNights) -> Night:
    """End the time to draw in now: what is being drawn is finished, and the best are enlarged.

    A night that has ended does not change, so a repetition does no harm.
    """
    return nights.finish(night_id)


@router.post("/{night_id}/cancel", summary="Cancel a night", responses=documented(*_ERRORS))
@needs(Scope.JOBS_WRITE)
def cancel_night(night_id: NightId, nights: TheNights) -> Night:
    """Stop at once: nothing more is drawn or enlarged. The pictures that are kept so far stay, as they are.

    A night that has ended does not change, so a repetition does no harm.
    """
    return nights.finish(night_id, NightStatus.CANCELED)


@router.delete(
    "/{night_id}",
    status_code=204,
    summary="Delete a night",
    response_description="The night is gone; its jobs and pictures go within seconds.",
    responses=documented(*_ERRORS),
)
@needs(Scope.JOBS_WRITE)
def delete_night(request: Request, night_id: NightId, nights: TheNights) -> None:
    """Delete a night in any status, and all of its pictures, the kept ones too."""
    nights.delete(night_id)
    note(request, AuditAction.JOB_DELETED, night_id, detail="a night")
