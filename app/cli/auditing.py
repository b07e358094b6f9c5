"""Entries of the audit stream about commands."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis import Redis

    from jobs.callers.audit import AuditAction


def note_command(
    redis: "Redis", action: "AuditAction", target: str, tenant: str | None, detail: str | None = None
) -> None:
    """Keep an entry about what the user of this machine has done.

    Raises:
        QueueUnavailableError: Redis is away.
    """
    from jobs.callers.audit import AuditEntry, AuditLog

    entry = AuditEntry(
        action=action,
        target=target,
        target_tenant=tenant,
        detail=detail,
        via="command line",
        name=_user(),
    )
    AuditLog(redis).add(entry)


def _user() -> str | None:
    """Who runs the command, by the machine; None if it has no name for its user, as in some containers."""
    from getpass import getuser

    try:
        return getuser()
    except (KeyError, OSError):
        return None
