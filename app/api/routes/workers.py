"""The workers of the queue."""

from fastapi import APIRouter

from app.api.access.keys.needs import needs
from app.api.intake.intake import OwnRoute
from app.api.problems.handlers import documented
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.status.workers import WorkerList

router = APIRouter(prefix="/v1/workers", tags=["operation"], route_class=OwnRoute)


@router.get("", summary="List workers", responses=documented("queue_unavailable"))
@needs(Scope.ADMIN_WORKERS)
def list_workers(services: TheServices) -> WorkerList:
    """The live workers and their heartbeats, and those that went within the last hour."""
    return WorkerList(data=services.workers.alive(), gone=services.workers.gone())
