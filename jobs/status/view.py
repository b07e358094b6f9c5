"""Whose jobs somebody sees: one tenant's, or all."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """What somebody sees of the jobs, and where its own go.

    Attributes:
        tenant: whose its own jobs are; empty for the default tenant, which also has those of versions without tenants.
        is_whole: whether it sees the jobs of every tenant.
    """

    tenant: str = ""
    is_whole: bool = True

    def shows(self, record: Mapping[str, str]) -> bool:
        """Whether it shows the job that a hash describes."""
        return self.shows_tenant(record.get("tenant"))

    def shows_tenant(self, tenant: str | None) -> bool:
        """Whether it shows the jobs of a tenant."""
        return self.is_whole or (tenant or "") == self.tenant


WHOLE = View()
"""The view of the service itself, and of everyone where no key is asked for."""
