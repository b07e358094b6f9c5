"""What is kept of a key: a hash of its secret, whose it is, and what it may do."""

from datetime import UTC, date, datetime, timedelta
from hmac import compare_digest
from typing import Annotated

from pydantic import AwareDatetime, Field

from jobs.callers.quota import Quota
from jobs.callers.scopes import Scope
from jobs.callers.secret import KEY_ID, KeyText
from jobs.wire import AtMost, Wire

DEFAULT_TENANT = "default"
MAX_SCOPES = 32
TENANT = r"^[a-z0-9][a-z0-9._-]{0,62}$"

TenantName = Annotated[
    str,
    Field(
        pattern=TENANT,
        description="Tenant that the key belongs to: 1 to 63 of a-z, 0-9 and . _ -",
        examples=["studio"],
    ),
]
KeyName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\u0000-\u001f\u007f]*$",
        description="Name for people.",
        examples=["render farm"],
    ),
]
Scopes = Annotated[
    tuple[Scope, ...], AtMost(MAX_SCOPES), Field(min_length=1, description="What the key may do.")
]


class TenantRecord(Wire):
    """What an operator has set for a tenant."""

    name: TenantName
    quota: Quota | None = Field(None, description="Its limits; null for those of every tenant.")
    weight: float = Field(
        1.0,
        ge=0.01,
        le=100,
        allow_inf_nan=False,
        description="Its share of the work against that of a tenant with weight 1.",
        examples=[2],
    )


class KeyInfo(Wire):
    """A key without its secret."""

    id: str = Field(
        pattern=KEY_ID, description="Id of the key, the part after `lsk_`.", examples=["4fT0xK29ab"]
    )
    tenant: TenantName = DEFAULT_TENANT
    name: KeyName
    scopes: Scopes
    created_at: AwareDatetime = Field(description="When it was made.")
    not_before: AwareDatetime | None = Field(None, description="When it begins to count; null for at once.")
    expires_at: AwareDatetime | None = Field(None, description="When it ends; null for never.")
    last_used_on: date | None = Field(None, description="Day of its last use, in UTC; null before the first.")
    quota: Quota | None = Field(
        None,
        description="Limits of all keys of this name in the tenant, within the tenant's own; null for none.",
    )

    def counts(self, now: datetime) -> bool:
        """Whether it has begun to count and has not ended."""
        return (self.not_before is None or self.not_before <= now) and (
            self.expires_at is None or now < self.expires_at
        )


class KeyRecord(KeyInfo):
    """A key as it is kept."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the secret.")

    def matches(self, key: KeyText) -> bool:
        """Whether this is the record of a key; takes as long whether it is or not."""
        return compare_digest(self.sha256, key.sha256)

    def ending(self, at: datetime) -> "KeyRecord":
        """The same, ending then if it would not end earlier."""
        return self.model_copy(update={"expires_at": min(at, self.expires_at or at)})

    @property
    def info(self) -> KeyInfo:
        """The same without the hash."""
        return KeyInfo.model_validate(self.model_dump(exclude={"sha256"}))


def new_record(
    key: KeyText,
    *,
    tenant: str,
    name: str,
    scopes: tuple[Scope, ...],
    expires_in: timedelta | None = None,
    quota: Quota | None = None,
) -> KeyRecord:
    """The record of a new key.

    Raises:
        ValidationError: a field is out of its bounds.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    return KeyRecord(
        id=key.id,
        sha256=key.sha256,
        tenant=tenant,
        name=name,
        scopes=tuple(sorted(set(scopes))),
        created_at=now,
        expires_at=None if expires_in is None else now + expires_in,
        quota=quota,
    )
