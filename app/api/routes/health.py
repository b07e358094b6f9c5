"""Liveness and readiness of this process."""

import secrets
from collections.abc import Callable
from typing import Literal

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import Field

from app.api.access.keys.needs import needs_key, public
from app.api.intake.intake import IntakeRoute
from app.api.problems.kind import NOT_READY
from app.api.services import Services, TheServices
from jobs.catalog.catalog_file import CatalogFile
from jobs.errors import LodestarError, QueueUnavailableError
from jobs.wire import Wire

log = structlog.get_logger(__name__)
router = APIRouter(tags=["operation"], route_class=IntakeRoute)


class Health(Wire):
    """Says that the process answers."""

    status: Literal["ok"] = Field("ok", description="Always `ok`.")


class Check(Wire):
    """One thing that the API needs."""

    ok: bool = Field(description="Whether it works.")
    detail: str | None = Field(None, description="What is wrong; null if nothing is.")


class Readiness(Wire):
    """Whether jobs can be accepted and pictures served."""

    ready: bool = Field(
        description="Whether every check is ok. Workers do not count: without one, jobs wait."
    )
    checks: dict[str, Check] = Field(
        description="`redis` and `artifacts`, each tried with a real write.",
        examples=[{"redis": {"ok": True, "detail": None}, "artifacts": {"ok": True, "detail": None}}],
    )
    catalog: Check = Field(
        description="Whether the model catalog is that of the file. If a changed file is wrong, the former one counts.",
        examples=[{"ok": True, "detail": None}],
    )
    workers: int | None = Field(
        description="Number of workers that are alive; null if Redis is away.", examples=[1]
    )


class Version(Wire):
    """The version of the service."""

    version: str = Field(description="Version of the service.", examples=["0.1.0"])


@router.get("/v1/version", summary="Version")
@needs_key
async def get_version(request: Request) -> Version:
    """The version of the server that answers; others behind the same address may differ during an upgrade."""
    return Version(version=request.app.version)


@router.get("/healthz", summary="Liveness")
@public
async def get_health() -> Health:
    """Answers as long as the process runs; depends on nothing else."""
    return Health()


@router.get(
    "/readyz",
    summary="Readiness",
    responses={NOT_READY: {"model": Readiness, "description": "Something that the API needs does not work."}},
)
@public
def get_readiness(services: TheServices, response: Response) -> Readiness:
    """Try what the API needs: Redis and the artifact store take writes."""
    checks = {
        "redis": _check("redis", services.queue.check),
        "artifacts": _check("artifacts", lambda: _write_and_remove(services)),
    }
    all_ok = all(check.ok for check in checks.values())
    if not all_ok:
        response.status_code = NOT_READY
    # One wait for a Redis that is away is enough.
    workers = _count_workers(services) if checks["redis"].ok else None
    return Readiness(ready=all_ok, checks=checks, catalog=_catalog(services.catalog_file), workers=workers)


def _catalog(file: CatalogFile) -> Check:
    file.now()
    return Check(ok=file.problem is None, detail=file.problem)


def _check(name: str, attempt: Callable[[], None]) -> Check:
    try:
        attempt()
    except LodestarError as error:
        return Check(ok=False, detail=error.message)
    except OSError as error:
        log.warning("not ready", check=name, exc_info=error)
        return Check(ok=False, detail=f"it refused a write: {type(error).__name__}")
    return Check(ok=True)


def _write_and_remove(services: Services) -> None:
    key = f"readiness/{secrets.token_hex(8)}"
    services.artifacts.put(key, b"ok")
    services.artifacts.delete(key)


def _count_workers(services: Services) -> int | None:
    try:
        return len(services.workers.alive())
    except QueueUnavailableError:
        return None
