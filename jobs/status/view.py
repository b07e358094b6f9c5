"""Whose jobs somebody sees: one tenant's, or all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

OnForeign = Callable[[str, str], None]


@dataclass(frozen=True)
class View:
    """What somebody sees of the jobs, and where its own go.

    Attributes:
        tenant: whose its own jobs are; empty for the default tenant, which also has those of versions without tenants.
        is_whole: whether it sees the jobs of every tenant.
        on_foreign: called with a job's id and its tenant when it shows another tenant's; it must not block.
    """

    tenant: str = ""
    is_whole: bool = True
    on_foreign: OnForeign | None = field(default=None, compare=False)

    def watched(self, on_foreign: OnForeign | None) -> "View":
        """The same, that tells of what it shows of others."""
        return replace(self, on_foreign=on_foreign)

    def shows(self, record: Mapping[str, str], job_id: str) -> bool:
        """Whether it shows the job that a hash describes."""
        self.notice(job_id, record.get("tenant"))
        return self.shows_tenant(record.get("tenant"))

    def notice(self, job_id: str, tenant: str | None) -> None:
        """Tell that something of a tenant is shown; nothing if it is the view's own."""
        if self.on_foreign is not None and (tenant or "") != self.tenant:
            self.on_foreign(job_id, tenant or "")

    def shows_tenant(self, tenant: str | None) -> bool:
        """Whether it shows the jobs of a tenant."""
        return self.is_whole or (tenant or "") == self.tenant


WHOLE = View()
"""The view of the service itself, and of everyone where no key is asked for."""
