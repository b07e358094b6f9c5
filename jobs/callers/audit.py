"""The audit stream: what administrators did, and who was refused. It never holds a secret."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from pydantic import Field
from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.stream_ids import StreamId
from jobs.db.times import instant
from jobs.errors import InvalidRequestError
from jobs.wire import Wire

CURSOR = "^[0-9]{1,17}-[0-9]{1,10}$"
KEPT = 10_000  # entries of each kind, so that a flood of refusals hides no administration
MOST_CHARS = 200  # of a text that a caller has chosen


class AuditAction(StrEnum):
    """What an entry tells of."""

    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    KEY_REVOKED = "key.revoked"
    TENANT_SET = "tenant.set"
    TENANT_FORGOTTEN = "tenant.forgotten"
    JOB_DELETED = "job.deleted"
    EMBEDDING_DELETED = "embedding.deleted"
    FOREIGN_READ = "foreign.read"
    """Somebody who may see all tenants has seen what is another tenant's."""
    WORKER_DRAINED = "worker.drained"
    WORKER_RESUMED = "worker.resumed"
    CONTENT_FLAGGED = "content.flagged"
    KEY_REFUSED = "key.refused"
    SCOPE_REFUSED = "scope.refused"

    @property
    def is_failure(self) -> bool:
        """Whether somebody was refused."""
        return self in {AuditAction.KEY_REFUSED, AuditAction.SCOPE_REFUSED}


class AuditEntry(Wire):
    """One entry; what does not apply is null."""

    action: str = Field(description="What happened.", examples=["key.revoked"])
    key: str | None = Field(
        None, description="Id of the sender's key, if it named one, whether it counts or not."
    )
    name: str | None = Field(None, description="Name of the sender.")
    tenant: str | None = Field(None, description="Tenant of the sender.")
    via: str | None = Field(
        None, description="How the sender is known: `key`, `session`, `proxy`, `open`, or `command line`."
    )
    address: str | None = Field(None, description="Network address of the sender.")
    target: str | None = Field(
        None, description="What it was done to: id of a key or job, name of an embedding, path of a request."
    )
    target_tenant: str | None = Field(None, description="Tenant that this belongs to.")
    detail: str | None = Field(None, description="More, in words.")


class KeptEntry(AuditEntry):
    """An entry as it is kept."""

    id: str = Field(description="Its place in the stream.", examples=["1767225600000-0"])
    at: datetime = Field(description="When it happened, by the clock of Redis.")


class AuditPage(Wire):
    """One page of the audit stream, newest first."""

    data: tuple[KeptEntry, ...] = Field(description="Entries, newest first.")
    next_cursor: str | None = Field(None, description="Pass as `cursor` for the next page; null on the last.")


class AuditLog:
    """The entries that Redis keeps: the newest 10,000 of each kind, administration and failures.

    All methods raise QueueUnavailableError when Redis cannot be reached or refuses to write.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @translates_redis_errors
    def add(self, entry: AuditEntry) -> None:
        """Keep an entry."""
        place = _place(is_failure=AuditAction(entry.action).is_failure)
        fields = cast("Any", {"entry": entry.model_dump_json(exclude_none=True)})
        self._redis.xadd(place, fields, maxlen=KEPT, approximate=True)

    @translates_redis_errors
    def page(self, *, failures: bool = False, cursor: StreamId | None = None, limit: int = 50) -> AuditPage:
        """One page, newest first.

        Args:
            failures: those who were refused, instead of administration.
            cursor: of the last entry of the page before.
            limit: of its entries.
        """
        latest = "+" if cursor is None else cursor.before
        found = cast(
            "list[tuple[str, dict[str, str]]]",
            self._redis.xrevrange(_place(is_failure=failures), max=latest, count=limit + 1),
        )
        data = tuple(_read(stream_id, fields["entry"]) for stream_id, fields in found[:limit])
        return AuditPage(data=data, next_cursor=data[-1].id if len(found) > limit else None)


def read_cursor(cursor: str | None) -> StreamId | None:
    """The place in the stream that a caller names by ``next_cursor``; None without one.

    Raises:
        InvalidRequestError: it is none.
    """
    if cursor is None:
        return None
    if not re.fullmatch(CURSOR, cursor, re.ASCII):
        raise InvalidRequestError("cursor must be the next_cursor of an earlier page", field="cursor")
    return StreamId.of(cursor)


def _place(*, is_failure: bool) -> str:
    return keys.AUDIT_FAILURES if is_failure else keys.AUDIT


def _read(stream_id: str, text: str) -> KeptEntry:
    # A newer version may tell more.
    entry = AuditEntry.model_validate_json(text, extra="ignore")
    at = instant(int(stream_id.partition("-")[0]) * 1000)
    return KeptEntry(id=stream_id, at=at, **entry.model_dump())
