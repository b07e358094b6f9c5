"""What was used in a month, and what is left."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from app.api.access.caller import identity_of
from app.api.access.keys.needs import needs
from app.api.intake.intake import IntakeRoute
from app.api.problems.handlers import documented
from app.api.services import Services, TheServices
from jobs.callers.payer import Account
from jobs.callers.scopes import Scope
from jobs.queue.ledger import Used
from jobs.queue.standing import Allowance
from jobs.wire import Wire

router = APIRouter(prefix="/v1/usage", tags=["jobs"], route_class=IntakeRoute)


class Usage(Wire):
    """What was used in a month, and what is left now."""

    month: str = Field(description="The calendar month, in UTC.", examples=["2026-11"])
    data: tuple[Used, ...] = Field(
        description="The sender's tenant, and the sender itself if it has a quota of its own; for operators then the "
        "other tenants, by name."
    )
    allowances: tuple[Allowance, ...] = Field(
        description="What is left now of each limit of the sender; empty without quotas."
    )


@router.get("", summary="Get usage", responses=documented("invalid_request", "queue_unavailable"))
@needs(Scope.JOBS_READ)
def get_usage(
    request: Request,
    services: TheServices,
    month: Annotated[
        str | None,
        Query(
            pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$",
            description="An earlier month; they are kept for 400 days. This one if left out.",
            examples=["2026-10"],
        ),
    ] = None,
) -> Usage:
    """Units, jobs and pictures of a month, and what is left of the sender's quotas."""
    wanted = services.ledger.month() if month is None else month.replace("-", "")
    payer, identity = services.payer(), identity_of(request)
    names = (identity.tenant, identity.name)
    shown = [*zip(payer.accounts, names, strict=False), *_others(services, identity.tenant, identity.scopes)]
    return Usage(
        month=f"{wanted[:4]}-{wanted[4:]}",
        data=services.ledger.used(shown, wanted),
        allowances=services.ledger.allowances(payer),
    )


def _others(services: Services, own: str, scopes: frozenset[Scope]) -> list[tuple[Account, str]]:
    """The accounts of the other tenants, for whom may see their jobs."""
    if Scope.ADMIN_JOBS not in scopes:
        return []
    return [(Account(name, "tenant"), name) for name in services.ledger.tenants() if name != own]
