"""Who makes a request, and what it may do."""

from dataclasses import dataclass
from typing import Literal

from jobs.callers.quota import Quota
from jobs.callers.record import DEFAULT_TENANT, KeyInfo
from jobs.callers.scopes import Scope
from jobs.status.view import View

Via = Literal["open", "key", "session", "proxy", "nobody"]


@dataclass(frozen=True)
class Identity:
    """The sender of a request.

    Attributes:
        tenant: whose jobs, embeddings and secrets it sees.
        name: of the caller within the tenant; empty if it is anonymous.
        scopes: what it may do.
        via: how it is known: by a ``key``, by the ``session`` of a key, by a trusted ``proxy``, or not at all
            (``nobody``); ``open`` where no key is asked for.
        key_id: of its key.
        quota: of its key or its group; None without one.
    """

    tenant: str
    name: str
    scopes: frozenset[Scope]
    via: Via
    key_id: str | None = None
    quota: Quota | None = None


def view_of(identity: Identity) -> View:
    """What the sender of a request sees of the jobs."""
    tenant = "" if identity.tenant == DEFAULT_TENANT else identity.tenant
    return View(tenant, is_whole=Scope.ADMIN_JOBS in identity.scopes)


EVERYBODY = Identity(DEFAULT_TENANT, "", frozenset(Scope), "open")
"""The sender of each request where no key is asked for."""
NOBODY = Identity("-", "", frozenset(), "nobody")
"""The sender of a request that needs no key, where others do; its tenant is none that a key can have."""


def holder_of(key: KeyInfo, via: Via) -> Identity:
    """The holder of a key."""
    return Identity(key.tenant, key.name, frozenset(key.scopes), via, key.id, key.quota)
