"""Set and list the quotas and weights of tenants."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import Field

from app.api.access.auditing import note
from app.api.access.keys.needs import needs
from app.api.intake.intake import IntakeRoute
from app.api.problems.handlers import documented
from app.api.problems.validation import otherwise
from app.api.routes.admin.keys import KeyInFileError
from app.api.services import Services, TheServices
from jobs.callers.audit import AuditAction
from jobs.callers.quota import Quota
from jobs.callers.record import TENANT, TenantRecord
from jobs.callers.scopes import Scope
from jobs.callers.tenants import TenantStore
from jobs.errors import UnknownTenantError
from jobs.wire import Wire, same_field

router = APIRouter(prefix="/v1/admin/tenants", tags=["keys"], route_class=IntakeRoute)

_BODY_ERRORS = ("invalid_request", "invalid_json", "unsupported_media_type", "body_too_large")

Tenant = Annotated[
    Annotated[str, Field(pattern=TENANT)],
    otherwise(
        lambda name: UnknownTenantError(f"no tenant has the name {name[:63]!r}: 1 to 63 of a-z, 0-9, . _ -")
    ),
    Path(description="Name of the tenant.", examples=["studio"]),
]


class TenantSettings(Wire):
    """What to set for a tenant."""

    quota: Quota | None = same_field(TenantRecord, "quota")
    weight: float = same_field(TenantRecord, "weight", 1.0)


class TenantList(Wire):
    """What is set for tenants."""

    data: tuple[TenantRecord, ...] = Field(
        description="Those of the file first, then those of Redis by name."
    )


@router.get("", summary="List what is set for tenants", responses=documented("queue_unavailable"))
@needs(Scope.ADMIN_KEYS)
def list_tenants(services: TheServices) -> TenantList:
    """The tenants for which something is set. Others have the quota of `LODESTAR_TENANT_QUOTA`, and weight 1."""
    return TenantList(data=services.tenants.list())


@router.put(
    "/{tenant}",
    summary="Set the quota of a tenant",
    responses=documented("unknown_tenant", "key_in_file", "queue_unavailable", *_BODY_ERRORS),
)
@needs(Scope.ADMIN_KEYS)
def set_tenant(request: Request, tenant: Tenant, body: TenantSettings, services: TheServices) -> TenantRecord:
    """Set quota and weight of a tenant, in place of what was set before. Other processes follow within ten seconds."""
    _require_changeable(services, tenant)
    record = TenantRecord(name=tenant, quota=body.quota, weight=body.weight)
    TenantStore(services.redis).put(record)
    services.tenants.forget(tenant)
    detail = f"quota {'as all' if body.quota is None else body.quota}, weight {body.weight:g}"
    note(request, AuditAction.TENANT_SET, tenant, tenant=tenant, detail=detail)
    return record


@router.delete(
    "/{tenant}",
    status_code=204,
    summary="Forget what is set for a tenant",
    response_description="What holds for every tenant holds for it again.",
    responses=documented("unknown_tenant", "key_in_file", "queue_unavailable"),
)
@needs(Scope.ADMIN_KEYS)
def forget_tenant(request: Request, tenant: Tenant, services: TheServices) -> None:
    """Forget quota and weight of a tenant. Its keys and jobs stay."""
    _require_changeable(services, tenant)
    TenantStore(services.redis).remove(tenant)
    services.tenants.forget(tenant)
    note(request, AuditAction.TENANT_FORGOTTEN, tenant, tenant=tenant)


def _require_changeable(services: Services, tenant: str) -> None:
    if services.tenants.filed(tenant) is not None:
        raise KeyInFileError(f"the keys file has the tenant {tenant}; change it there")
