"""Who pays for a job: the accounts that it is charged to, with their limits."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from pydantic_core import to_json

from jobs.callers.identity import Identity
from jobs.callers.quota import NO_QUOTA, Quota
from jobs.callers.record import DEFAULT_TENANT, TenantRecord

Holder = Literal["tenant", "caller"]


@dataclass(frozen=True)
class Account:
    """An account.

    Attributes:
        name: in Redis.
        holder: whose it is.
        quota: its limits.
    """

    name: str
    holder: Holder
    quota: Quota = NO_QUOTA

    @property
    def limits(self) -> tuple[str | float, ...]:
        """Name and limits, as the scripts take them: 0 for none."""
        quota = self.quota
        numbers = (quota.requests_per_minute, quota.units_per_second, quota.burst, quota.max_waiting)
        return (self.name, *(number or 0 for number in (*numbers, quota.units_per_month)))


@dataclass(frozen=True)
class Payer:
    """Who pays for a job.

    Attributes:
        accounts: its tenant's account, and its own if it has limits of its own.
        weight: of its tenant among the others.
    """

    accounts: tuple[Account, ...]
    weight: float = 1.0

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return any(account.quota != NO_QUOTA for account in self.accounts)

    @property
    def most_of_one_job(self) -> tuple[int, str] | None:
        """The most units that a job may cost, and whose limit says so; None without one."""
        ceilings = (
            (most[0], f"{most[1]} of the {account.holder}'s quota")
            for account in self.accounts
            if (most := account.quota.most_of_one_job)
        )
        return min(ceilings, default=None)

    def dump(self) -> str:
        """The accounts, as the scripts take them."""
        return to_json([account.limits for account in self.accounts]).decode()


def unlimited(tenant: str = "") -> Payer:
    """A tenant whose work is counted, and not limited; empty for the default one."""
    return Payer((Account(tenant or DEFAULT_TENANT, "tenant"),))


def payer_of(identity: Identity, tenant: TenantRecord) -> Payer:
    """Who pays for the jobs of a request's sender."""
    accounts = [Account(tenant.name, "tenant", tenant.quota or NO_QUOTA)]
    if identity.quota is not None:
        # By the caller's name, as in fair shares, so that a rotated key has what is left of the former one.
        digest = sha256(identity.name.encode()).hexdigest()[:16]
        accounts.append(Account(f"{tenant.name}/{digest}", "caller", identity.quota))
    return Payer(tuple(accounts), tenant.weight)
