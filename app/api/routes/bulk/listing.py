"""Lists of jobs, and of the reasons why some failed."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from app.api.access.keys.needs import needs
from app.api.intake.intake import OwnRoute
from app.api.problems.handlers import documented
from app.api.routes.bulk.filters import ERROR, Cursor, ErrorType, Statuses, narrowed
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.errors import InvalidRequestError
from jobs.queue.listing.wanted import Asked, Order
from jobs.status.job import JobStatus
from jobs.status.lists import FailureList, JobPage

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=OwnRoute)

Narrowed = Annotated[Asked, Depends(narrowed)]
_REFUSALS = documented("invalid_request", "unknown_model", "queue_unavailable", "artifacts_unavailable")


@router.get("", summary="List jobs", responses=_REFUSALS)
@needs(Scope.JOBS_READ)
def list_jobs(
    services: TheServices,
    narrow: Narrowed,
    status: Annotated[
        Statuses,
        Query(description="Only jobs of this status; give it again for another one.", examples=[["running"]]),
    ] = (),
    error: Annotated[ErrorType | None, Query(description=ERROR, examples=["out_of_memory"])] = None,
    order: Annotated[
        Order,
        Query(
            description="`newest` first, or `turn`: the queued jobs alone, the next one to be started first."
        ),
    ] = "newest",
    cursor: Annotated[
        Cursor | None,
        Query(
            description="`next_cursor` of the page before; the newest jobs if left out.",
            examples=["1767225600000000"],
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Jobs on a page.", examples=[50])] = 50,
) -> JobPage:
    """One page of jobs.

    The jobs of a status, of a label and of a time are found at once. The other filters look through those: a call looks
    at 10,000 jobs at most, of which it reads some 1,600 prompts, or 90 of jobs that are archived. `looked_to` tells how
    far it came, and `next_cursor` goes on from there.
    """
    if order == "turn":
        others = [name for name, value in narrow.items() if value and name not in ("kinds", "caller")]
        if others or error or set(status) - {JobStatus.QUEUED}:
            raise InvalidRequestError(
                "order=turn lists the queued jobs: of the filters it takes kind and caller alone, and no other status",
                field="order",
            )
    asked: Asked = {**narrow, "error": error, "status": status, "order": order}
    return services.queue.list(cursor=cursor, limit=limit, **asked)


@router.get("/failures", summary="Count failures by reason", responses=_REFUSALS)
@needs(Scope.JOBS_READ)
def list_failures(services: TheServices, narrow: Narrowed) -> FailureList:
    """Why the newest 5,000 failed jobs did, of those that fit; as a list, it looks at a bounded number."""
    return services.queue.failures(**narrow)
