"""The audit stream, for operators."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import WithJsonSchema
from starlette.concurrency import run_in_threadpool

from app.api.access.keys.needs import needs
from app.api.intake.intake import IntakeRoute
from app.api.problems.handlers import documented
from app.api.services import TheServices
from jobs.callers.audit import CURSOR, AuditLog, AuditPage, read_cursor
from jobs.callers.scopes import Scope

router = APIRouter(prefix="/v1/audit", tags=["keys"], route_class=IntakeRoute)


@router.get("", summary="Read the audit stream", responses=documented("invalid_request", "queue_unavailable"))
@needs(Scope.ADMIN_KEYS)
async def list_entries(
    services: TheServices,
    failures: Annotated[
        bool, Query(description="Refused keys and scopes, instead of administration.")
    ] = False,
    cursor: Annotated[
        Annotated[str, WithJsonSchema({"type": "string", "pattern": CURSOR})] | None,
        Query(
            description="`next_cursor` of the page before; the newest entries if left out.",
            examples=["1767225600000-0"],
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Entries on a page.", examples=[50])] = 50,
) -> AuditPage:
    """What administrators did, or who was refused, newest first."""
    place = read_cursor(cursor)

    def read() -> AuditPage:
        services.auditor.flush()
        return AuditLog(services.redis).page(failures=failures, cursor=place, limit=limit)

    return await run_in_threadpool(read)
