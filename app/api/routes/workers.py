"""The workers of the queue."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from app.api.access.auditing import note
from app.api.access.keys.needs import needs
from app.api.intake.intake import OwnRoute
from app.api.problems.handlers import documented
from app.api.services import TheServices
from jobs.callers.audit import AuditAction
from jobs.callers.scopes import Scope
from jobs.status.workers import WorkerInfo, WorkerList

router = APIRouter(prefix="/v1/workers", tags=["operation"], route_class=OwnRoute)

Name = Annotated[str, Path(description="Name of the worker.", examples=["gpu-1.4242"])]


@router.get("", summary="List workers", responses=documented("queue_unavailable"))
@needs(Scope.ADMIN_WORKERS)
def list_workers(services: TheServices) -> WorkerList:
    """The live workers and their heartbeats, and those that went within the last hour."""
    return WorkerList(data=services.workers.alive(), gone=services.workers.gone())


@router.post(
    "/{name}/drain", summary="Drain a worker", responses=documented("unknown_worker", "queue_unavailable")
)
@needs(Scope.ADMIN_WORKERS)
def drain_worker(request: Request, services: TheServices, name: Name) -> WorkerInfo:
    """Have a worker finish the jobs that it runs and take no other, until it is resumed or its process ends.

    It takes effect at once. A repetition does no harm.
    """
    worker = services.workers.drain(name)
    note(request, AuditAction.WORKER_DRAINED, name)
    return worker


@router.post(
    "/{name}/resume", summary="Resume a worker", responses=documented("unknown_worker", "queue_unavailable")
)
@needs(Scope.ADMIN_WORKERS)
def resume_worker(request: Request, services: TheServices, name: Name) -> WorkerInfo:
    """Have a drained worker take jobs again, within a few seconds. A repetition does no harm."""
    worker = services.workers.resume(name)
    note(request, AuditAction.WORKER_RESUMED, name)
    return worker
