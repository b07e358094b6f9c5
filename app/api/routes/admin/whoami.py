"""What the service knows of the sender of a request."""

from fastapi import APIRouter, Request
from pydantic import Field

from app.api.access.caller import caller_of, identity_of
from app.api.access.keys.needs import needs_key
from app.api.intake.intake import OwnRoute
from jobs.callers.identity import Via
from jobs.callers.scopes import Scope
from jobs.wire import Wire

router = APIRouter(prefix="/v1/whoami", tags=["keys"], route_class=OwnRoute)


class WhoAmI(Wire):
    """The sender of a request."""

    tenant: str = Field(description="Tenant that it belongs to.", examples=["default"])
    name: str = Field(description="Name of the caller; empty if it is anonymous.", examples=["render farm"])
    scopes: tuple[Scope, ...] = Field(description="What it may do.")
    via: Via = Field(
        description="How it is known: by a `key`, by the `session` of a key, by a trusted `proxy`, or not at all "
        "(`open`), where no key is asked for."
    )


@router.get("", summary="Who am I")
@needs_key
async def who_am_i(request: Request) -> WhoAmI:
    """The tenant and the scopes of the sender."""
    identity = identity_of(request)
    return WhoAmI(
        tenant=identity.tenant,
        name=caller_of(request),
        scopes=tuple(sorted(identity.scopes)),
        via=identity.via,
    )
