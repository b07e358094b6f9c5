"""Entries of the audit stream about requests."""

from fastapi import Request

from app.api.access.caller import caller_of, identity_of
from app.api.services import Services, services_of
from jobs.callers.audit import MOST_CHARS, AuditAction, AuditEntry
from jobs.callers.identity import Identity
from jobs.callers.record import DEFAULT_TENANT
from jobs.callers.scopes import Scope
from jobs.callers.secret import parse_key
from jobs.status.view import OnForeign

# A reader that looks every second, or a client that tries for ever, fills no stream.
READING_NOT_WITHIN_S = 3600
REFUSAL_NOT_WITHIN_S = 60


def note(
    request: Request,
    action: AuditAction,
    target: str,
    *,
    tenant: str | None = None,
    detail: str | None = None,
) -> None:
    """Note what the sender of a request has done.

    Args:
        request: of the sender.
        action: that it was.
        target: what it was done to.
        tenant: whose that is, if not the sender's own.
        detail: more, in words.
    """
    entry = _entry(request, identity_of(request), action, target, tenant, detail)
    services_of(request).auditor.note(entry)


def note_refusal(request: Request, action: AuditAction, text: str | None, detail: str) -> None:
    """Note that the sender of a request was refused.

    Args:
        request: of the sender.
        action: that it was.
        text: what it sent as a key, of which only the id is noted.
        detail: why.
    """
    key = parse_key(text) if text else None
    entry = _entry(request, identity_of(request), action, request.scope["path"], None, detail)
    if key is not None:
        entry = entry.model_copy(update={"key": key.id})
    services_of(request).auditor.note(entry, not_within_s=REFUSAL_NOT_WITHIN_S)


def watcher(request: Request, services: Services, identity: Identity) -> OnForeign | None:
    """What notes that an operator is shown what is another tenant's; None for whoever is shown nothing of the kind.

    Where no key is asked for, all belongs to everyone.
    """
    if identity.via == "open" or Scope.ADMIN_JOBS not in identity.scopes:
        return None

    def on_foreign(job_id: str, tenant: str) -> None:
        entry = _entry(request, identity, AuditAction.FOREIGN_READ, job_id, tenant or DEFAULT_TENANT, None)
        services.auditor.note(entry, not_within_s=READING_NOT_WITHIN_S)

    return on_foreign


def _entry(
    request: Request,
    identity: Identity,
    action: AuditAction,
    target: str,
    tenant: str | None,
    detail: str | None,
) -> AuditEntry:
    is_known = identity.via != "nobody"
    return AuditEntry(
        action=action,
        key=identity.key_id,
        name=(caller_of(request)[:MOST_CHARS] or None) if is_known else None,
        tenant=identity.tenant if is_known else None,
        via=identity.via if is_known else None,
        address=request.client.host if request.client else None,
        target=target[:MOST_CHARS],
        target_tenant=tenant,
        detail=detail,
    )
