"""Make, list, rotate and revoke the keys of callers."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import Field, model_validator

from app.api.access.auditing import note
from app.api.access.caller import identity_of
from app.api.access.keys.errors import MissingScopeError
from app.api.access.keys.needs import needs
from app.api.intake.intake import OwnRoute
from app.api.problems.handlers import documented
from app.api.problems.validation import otherwise
from app.api.services import Services, TheServices
from jobs.callers.audit import AuditAction
from jobs.callers.keys import KeyStore
from jobs.callers.quota import Quota
from jobs.callers.record import DEFAULT_TENANT, MAX_SCOPES, KeyInfo, KeyName, TenantName, new_record
from jobs.callers.scopes import SCOPES_OF, Role, Scope
from jobs.callers.secret import KEY_ID, draw_key
from jobs.errors import LodestarError, UnknownKeyError
from jobs.wire import AtMost, Wire, same_field

router = APIRouter(prefix="/v1/admin/keys", tags=["keys"], route_class=OwnRoute)

MIN_LIFETIME_S = 1
MAX_LIFETIME_S = 10 * 365 * 24 * 3600
MAX_OVERLAP_S = 90 * 24 * 3600
_BODY_ERRORS = ("invalid_request", "invalid_json", "unsupported_media_type", "body_too_large")

KeyId = Annotated[
    Annotated[str, Field(pattern=KEY_ID)],
    otherwise(lambda key_id: UnknownKeyError(f"there is no key {key_id[:40]!r}")),
    Path(description="Id of the key, the part after `lsk_`.", examples=["4fT0xK29ab"]),
]


class KeyInFileError(LodestarError):
    """The keys file has this key, which the API cannot change."""

    type = "key_in_file"


class NewKey(Wire):
    """A key to make."""

    name: KeyName
    tenant: TenantName = DEFAULT_TENANT
    role: Role | None = Field(
        None, description="Bundle of scopes; `client` if neither it nor `scopes` is given."
    )
    scopes: Annotated[tuple[Scope, ...], AtMost(MAX_SCOPES)] = Field(
        (), description="What the key may do, instead of a role.", examples=[["jobs:write", "jobs:read"]]
    )
    expires_in_s: float | None = Field(
        None,
        ge=MIN_LIFETIME_S,
        le=MAX_LIFETIME_S,
        allow_inf_nan=False,
        description="Seconds until it ends, at least one; never if left out.",
        examples=[7776000],
    )
    quota: Quota | None = same_field(KeyInfo, "quota")

    @model_validator(mode="after")
    def _has_one_of_both(self) -> "NewKey":
        if self.role is not None and self.scopes:
            raise ValueError("give a role or scopes, not both")
        return self

    @property
    def wanted_scopes(self) -> frozenset[Scope]:
        """What the key may do."""
        return frozenset(self.scopes) or SCOPES_OF[self.role or Role.CLIENT]


class Rotation(Wire):
    """How to rotate a key."""

    overlap_s: float = Field(
        24 * 3600,
        ge=0,
        le=MAX_OVERLAP_S,
        allow_inf_nan=False,
        description="Seconds that the old key still counts.",
        examples=[3600],
    )


class ShownKey(KeyInfo):
    """A new key with its secret."""

    key: str = Field(
        description="The key itself. It is shown this once: only a hash of it is kept.",
        examples=["lsk_4fT0xK29ab_..."],
    )


class KeyList(Wire):
    """The keys."""

    data: tuple[KeyInfo, ...] = Field(
        description="Keys of the file first, then those of Redis, the oldest first."
    )


@router.post(
    "",
    status_code=201,
    summary="Make a key",
    response_description="The key, shown this once.",
    responses=documented("queue_unavailable", *_BODY_ERRORS),
)
@needs(Scope.ADMIN_KEYS)
def create_key(request: Request, body: NewKey, services: TheServices) -> ShownKey:
    """Make a key. It has no scope that its maker lacks."""
    _require_own(request, body.wanted_scopes)
    key = draw_key()
    record = new_record(
        key,
        tenant=body.tenant,
        name=body.name,
        scopes=tuple(body.wanted_scopes),
        expires_in=None if body.expires_in_s is None else timedelta(seconds=body.expires_in_s),
        quota=body.quota,
    )
    KeyStore(services.redis).add(record)
    _audit(request, AuditAction.KEY_CREATED, record)
    return ShownKey(key=str(key), **record.info.model_dump())


@router.get("", summary="List keys", responses=documented("queue_unavailable"))
@needs(Scope.ADMIN_KEYS)
def list_keys(services: TheServices) -> KeyList:
    """The keys of all tenants, without their secrets."""
    return KeyList(data=services.keys.list())


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    summary="Rotate a key",
    response_description="The new key, shown this once.",
    responses=documented("unknown_key", "key_in_file", "queue_unavailable", *_BODY_ERRORS),
)
@needs(Scope.ADMIN_KEYS)
def rotate_key(
    request: Request, key_id: KeyId, services: TheServices, body: Rotation | None = None
) -> ShownKey:
    """Make a key like another one, which still counts for a while. `last_used_on` shows when nobody uses that."""
    old = _changeable(services, key_id)
    _require_own(request, frozenset(old.scopes))
    overlap = timedelta(seconds=(body or Rotation()).overlap_s)
    key, record = KeyStore(services.redis).rotate(key_id, overlap=overlap)
    services.keys.forget(key_id)
    _audit(request, AuditAction.KEY_ROTATED, old)
    return ShownKey(key=str(key), **record.info.model_dump())


@router.delete(
    "/{key_id}",
    status_code=204,
    summary="Revoke a key",
    response_description="It counts no more, nor do the logins that were made with it.",
    responses=documented("unknown_key", "key_in_file", "queue_unavailable"),
)
@needs(Scope.ADMIN_KEYS)
def revoke_key(request: Request, key_id: KeyId, services: TheServices) -> None:
    """End a key now."""
    old = _changeable(services, key_id)
    KeyStore(services.redis).revoke(key_id)
    services.keys.forget(key_id)
    _audit(request, AuditAction.KEY_REVOKED, old)


def _changeable(services: Services, key_id: str) -> KeyInfo:
    if services.keys.is_filed(key_id):
        raise KeyInFileError(f"the keys file has the key {key_id}; change it there")
    record = KeyStore(services.redis).get(key_id)
    if record is None:
        raise UnknownKeyError(f"there is no key {key_id!r}: it never existed, or was revoked")
    return record.info


def _require_own(request: Request, scopes: frozenset[Scope]) -> None:
    """Refuse to hand out what the sender may not do itself."""
    beyond = sorted(scopes - identity_of(request).scopes)
    if beyond:
        raise MissingScopeError(f"a key gives no scope that it lacks itself: {', '.join(beyond)}")


def _audit(request: Request, action: AuditAction, key: KeyInfo) -> None:
    note(request, action, key.id, tenant=key.tenant)
