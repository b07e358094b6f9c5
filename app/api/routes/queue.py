"""The queue as a whole."""

from fastapi import APIRouter
from pydantic import Field

from app.api.access.keys.needs import needs
from app.api.intake.intake import OwnRoute
from app.api.problems.handlers import documented
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.status.job import JobStatus
from jobs.wire import Wire

router = APIRouter(prefix="/v1/queue", tags=["operation"], route_class=OwnRoute)


class QueueInfo(Wire):
    """Numbers of jobs and of workers."""

    jobs: dict[JobStatus, int] = Field(
        description="Number of jobs of each status.",
        examples=[{"queued": 3, "running": 1, "succeeded": 20, "failed": 0, "canceled": 1}],
    )
    workers: int = Field(ge=0, description="Number of workers that are alive.", examples=[1])
    max_queued: int = Field(ge=1, description="Most jobs that may be queued.", examples=[1000])
    eta_s: float | None = Field(
        ge=0,
        description="Seconds until the workers are done with all of them at their present speed; null until that was "
        "measured.",
        examples=[12.5],
    )


@router.get("", summary="Count jobs and workers", responses=documented("queue_unavailable"))
@needs(Scope.JOBS_READ)
def get_queue(services: TheServices) -> QueueInfo:
    """Numbers of jobs and workers; each is exact, but not all are of one instant."""
    backlog = services.queue.backlog()
    return QueueInfo(
        jobs=services.queue.counts(),
        workers=len(services.workers.alive()),
        max_queued=services.settings.max_queued,
        eta_s=backlog.eta_s(backlog.jobs),
    )
