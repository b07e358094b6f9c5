"""The workers of the queue."""

from fastapi import APIRouter
from pydantic import Field

from app.api.access.keys.needs import needs
from app.api.intake.intake import OwnRoute
from app.api.problems.handlers import documented
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.queue.workers import WorkerInfo
from jobs.wire import Wire

router = APIRouter(prefix="/v1/workers", tags=["operation"], route_class=OwnRoute)


class WorkerList(Wire):
    """The workers that are alive."""

    data: tuple[WorkerInfo, ...] = Field(description="Workers heard of within the last 15 s, by name.")


@router.get("", summary="List workers", responses=documented("queue_unavailable"))
@needs(Scope.ADMIN_WORKERS)
def list_workers(services: TheServices) -> WorkerList:
    """The live workers and their heartbeats."""
    return WorkerList(data=services.workers.alive())
