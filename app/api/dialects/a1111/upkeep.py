"""A1111's calls that look after its process: memory, loading and refreshing, and whether it is there."""

import os
from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter

from app.api.access.keys.needs import needs, needs_key, public
from app.api.intake.intake import IntakeRoute
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.status.workers import WorkerInfo

router = APIRouter(include_in_schema=False, route_class=IntakeRoute)


@router.post("/sdapi/v1/refresh-checkpoints")
@router.post("/sdapi/v1/refresh-vae")
@router.post("/sdapi/v1/refresh-loras")
@router.post("/sdapi/v1/refresh-embeddings")
@router.post("/sdapi/v1/reload-checkpoint")
@router.post("/sdapi/v1/unload-checkpoint")
@needs_key
def nothing_to_do() -> None:
    """Do nothing: the catalog is read again when it changes, and the workers load what their jobs need."""


@router.get("/sdapi/v1/memory")
@needs(Scope.METRICS)  # it tells of everybody's load
def get_memory(services: TheServices) -> dict[str, Any]:
    """Memory of this machine, and of the workers' devices together, in bytes."""
    return {"ram": _ram(), "cuda": _devices(services.workers.alive())}


@router.get("/internal/ping")
@public
def ping() -> dict[str, Any]:
    """An empty answer: the server is there."""
    return {}


@router.get("/app_id")
@needs_key
def get_app_id(services: TheServices) -> dict[str, int]:
    """A number of this run of the server."""
    return {"app_id": int(services.catalog_file.read_at.timestamp() * 1000)}


def _ram() -> dict[str, int]:
    page = os.sysconf("SC_PAGE_SIZE")
    total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    return {"free": free, "used": total - free, "total": total}


def _devices(workers: Iterable[WorkerInfo]) -> dict[str, Any]:
    known = [
        (worker.memory_used_bytes, worker.memory_total_bytes)
        for worker in workers
        if worker.memory_used_bytes is not None and worker.memory_total_bytes is not None
    ]
    if not known:
        return {"error": "no worker has said how much memory its device has"}
    used, total = (sum(column) for column in zip(*known, strict=True))
    return {"system": {"free": total - used, "used": used, "total": total}}
