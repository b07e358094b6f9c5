"""The queue as a whole."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter

from app.api.access.keys.needs import needs
from app.api.intake.intake import OwnRoute
from app.api.problems.handlers import documented
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.status.history import QueueHistory
from jobs.status.workers import QueueInfo

LATE = timedelta(seconds=10)  # three heartbeats were missed

router = APIRouter(prefix="/v1/queue", tags=["operation"], route_class=OwnRoute)


@router.get("", summary="Count jobs and workers", responses=documented("queue_unavailable"))
@needs(Scope.JOBS_READ)
def get_queue(services: TheServices) -> QueueInfo:
    """Numbers of jobs and workers; each is exact, but not all are of one instant."""
    backlog, workers = services.queue.backlog(), services.workers.alive()
    late = datetime.now(UTC) - LATE
    return QueueInfo(
        jobs=services.queue.counts(),
        workers=len(workers),
        late_workers=sum(worker.heartbeat_at < late for worker in workers),
        draining_workers=sum(worker.draining for worker in workers),
        max_queued=services.settings.max_queued,
        started_by=services.settings.started_by,
        eta_s=backlog.eta_s(backlog.jobs),
    )


@router.get("/history", summary="Tell the last hour", responses=documented("queue_unavailable"))
@needs(Scope.JOBS_READ)
def get_history(services: TheServices) -> QueueHistory:
    """How many jobs ended in each minute of the last hour, how long they waited and ran, and why some failed."""
    return services.history.read()
