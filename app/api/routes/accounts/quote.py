"""What a job would cost, before it is submitted."""

from typing import Annotated

from fastapi import APIRouter, Body, Request

from app.api.access.caller import TheCaller
from app.api.access.keys.needs import needs
from app.api.intake.intake import IntakeRoute
from app.api.intake.submission import quote_job
from app.api.problems.handlers import documented
from app.api.routes.examples import REQUESTS
from jobs.callers.scopes import Scope
from jobs.queue.ledger import Quote
from jobs.requests.request import GenerateRequest

router = APIRouter(prefix="/v1/quote", tags=["jobs"], route_class=IntakeRoute)


@router.post(
    "",
    summary="Quote a job",
    responses=documented(
        "invalid_request",
        "invalid_file",
        "unknown_job",
        "unknown_image",
        "job_not_finished",
        "unknown_model",
        "clip_mismatch",
        "no_image_tower",
        "artifacts_unavailable",
        "queue_unavailable",
        "stopping",
        "invalid_json",
        "unsupported_media_type",
        "body_too_large",
    ),
)
@needs(Scope.JOBS_WRITE)
async def get_quote(
    request: Request, body: Annotated[GenerateRequest, Body(openapi_examples=REQUESTS)], caller: TheCaller
) -> Quote:
    """What a job would cost, when it would be done, and what is left of the sender's quotas.

    Takes the body of `POST /v1/jobs`, and refuses what that would refuse for good. Submits and stores nothing.
    """
    return await quote_job(request, body, caller)
