"""Submit, get, cancel and delete one job."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app.api.access.auditing import note
from app.api.access.caller import TheCaller
from app.api.access.keys.admission import require_scope
from app.api.access.keys.needs import needs
from app.api.following.preference import Prefer, answer_accepted
from app.api.intake.again import request_again
from app.api.intake.intake import OwnRoute
from app.api.intake.submission import submit_job
from app.api.pictures.finished import signed_addresses
from app.api.pictures.signed_links import with_addresses
from app.api.pictures.store_access import delete_with_files
from app.api.problems.handlers import documented
from app.api.problems.validation import otherwise
from app.api.routes.examples import REQUESTS
from app.api.services import TheServices
from jobs.callers.audit import AuditAction
from jobs.callers.scopes import Scope
from jobs.errors import UnknownImageError
from jobs.queue.submission import Submission
from jobs.requests.request import GenerateRequest
from jobs.requests.selection import MAX_CANDIDATES
from jobs.status.job import Job

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=OwnRoute)

JobId = Annotated[str, Path(description="Id of the job.", examples=["01a203967d75b0c90aa928ee9db4"])]

PictureNumber = Annotated[
    Annotated[int, Field(ge=0, lt=MAX_CANDIDATES)],
    otherwise(lambda index: UnknownImageError(f"no job has a picture {index!r}; they are numbered from 0")),
    Path(description="Number of the picture, from 0.", examples=[0]),
]

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="1 to 255 characters, unique to this request. Sent again within 24 hours with the "
        "same body, it answers with the job of the first time.",
        examples=["5f0c7a52-2a7e-4c3b"],
    ),
]


_REFUSALS = (
    "invalid_request",
    "invalid_file",
    "unknown_image",
    "job_not_finished",
    "unknown_model",
    "clip_mismatch",
    "no_image_tower",
    "artifacts_unavailable",
    "content_blocked",
    "moderation_unavailable",
    "idempotency_conflict",
    "queue_full",
    "rate_limited",
    "quota_exceeded",
    "queue_unavailable",
    "stopping",
)
"""Kinds of error of a request that is not accepted."""
_ENDED: dict[int | str, dict[str, Any]] = {
    200: {"model": Job, "description": "With `Prefer: wait`: the job, which has ended within the time."}
}


@router.post(
    "",
    status_code=202,
    summary="Submit a job",
    response_description="The job was accepted; with `Prefer: wait`, the time ran out before it ended.",
    responses={
        **_ENDED,
        **documented("unknown_job", *_REFUSALS, "invalid_json", "unsupported_media_type", "body_too_large"),
    },
)
@needs(Scope.JOBS_WRITE)
async def create_job(
    request: Request,
    response: Response,
    body: Annotated[GenerateRequest, Body(openapi_examples=REQUESTS)],
    caller: TheCaller,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Job:
    """Queue one job. Only `prompt` is needed; the answer shows every default and the seed as filled in."""
    submission = await submit_job(request, body, idempotency_key, caller)
    return await _accepted(request, response, submission, prefer)


async def _accepted(request: Request, response: Response, submission: Submission, prefer: str | None) -> Job:
    if submission.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return await answer_accepted(request, response, submission.job, prefer)


@router.get(
    "/{job_id}",
    summary="Get a job",
    responses=documented("unknown_job", "queue_unavailable", "artifacts_unavailable"),
)
@needs(Scope.JOBS_READ)
def get_job(
    request: Request,
    job_id: JobId,
    services: TheServices,
    signed_urls: Annotated[
        bool,
        Query(description="Whether its pictures have a `signed_url`, for which the key needs `images:read`."),
    ] = False,
) -> Job:
    """The job now."""
    job = services.queue.get(job_id)
    if not signed_urls:
        return job
    require_scope(request, Scope.IMAGES_READ)
    return with_addresses(job, signed_addresses(services, job))


@router.post(
    "/{job_id}/cancel", summary="Cancel a job", responses=documented("unknown_job", "queue_unavailable")
)
@needs(Scope.JOBS_WRITE)
def cancel_job(job_id: JobId, services: TheServices) -> Job:
    """Cancel a waiting job at once, or request that a running one stops at its next step.

    Until its worker confirms, a running job stays `running` with `cancel_requested`. A job that has ended
    does not change, so a repetition does no harm.
    """
    return services.queue.cancel(job_id)


@router.post(
    "/{job_id}/retry",
    status_code=202,
    summary="Run a job again",
    response_description="A new job of the same request was accepted.",
    responses={**_ENDED, **documented("unknown_job", *_REFUSALS)},
)
@needs(Scope.JOBS_WRITE)
async def retry_job(
    request: Request,
    response: Response,
    job_id: JobId,
    services: TheServices,
    caller: TheCaller,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Job:
    """Queue a new job of the same request, with its seed and its webhook. The first job stays as it is.

    What the first job had by default is asked for, so that a new default changes nothing. A job that makes no
    pictures is sent again by the call that made it.
    """
    job = await run_in_threadpool(services.queue.get, job_id)
    submission = await submit_job(request, request_again(job), idempotency_key, caller)
    return await _accepted(request, response, submission, prefer)


@router.post(
    "/{job_id}/candidates/{index}/keep",
    summary="Keep a candidate",
    responses=documented("unknown_job", "unknown_image", "queue_unavailable"),
)
@needs(Scope.JOBS_WRITE)
def keep_candidate(job_id: JobId, index: PictureNumber, services: TheServices) -> Job:
    """Keep a picture that a best-of-n job did not choose, in the quarter of an hour after its end; the job after that.

    It is added to the job's `images`. A picture that is kept does not change, so a repetition does no harm.
    """
    services.rescue.keep(job_id, index)
    return services.queue.get(job_id)


@router.delete(
    "/{job_id}",
    status_code=204,
    summary="Delete a job",
    response_description="The job and its pictures are gone.",
    responses=documented("unknown_job", "queue_unavailable", "artifacts_unavailable"),
)
@needs(Scope.JOBS_WRITE)
def delete_job(request: Request, job_id: JobId, services: TheServices) -> None:
    """Delete a job in any status, and its pictures; a running job stops."""
    delete_with_files(services.queue, services.files, job_id)
    note(request, AuditAction.JOB_DELETED, job_id)
