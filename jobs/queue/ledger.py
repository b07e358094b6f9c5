"""What jobs cost: quotes before a submission, and what was used and is left after it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import cast

from pydantic import Field
from redis import Redis

from jobs.callers.payer import Account, Holder, Payer
from jobs.callers.record import DEFAULT_TENANT
from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import Scripts
from jobs.queue.pace import PaceBook
from jobs.queue.standing import Allowance, Standing
from jobs.queue.submission import order_fields
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import Task
from jobs.wire import Wire


class Quote(Wire):
    """What a job would cost, and when it would be done; nothing is submitted."""

    cost: int = Field(
        ge=1,
        description="Units of work that the job is estimated to need, as quotas and fair shares count it. A unit is "
        "one row of one denoising step at 64 x 64 pixels.",
        examples=[3900],
    )
    queue_position: int = Field(ge=0, description="Jobs that would be served before it.", examples=[3])
    eta_s: float | None = Field(
        ge=0,
        description="Seconds until it would be done at the workers' present speed; null until that was measured.",
        examples=[12.5],
    )
    is_covered: bool = Field(description="Whether the sender's quotas cover it now.")
    retry_after_s: float = Field(
        0,
        ge=0,
        description="Seconds until they would, if nothing else is submitted; 0 if they do.",
        examples=[0],
    )
    allowances: tuple[Allowance, ...] = Field(
        description="What is left of each limit of the sender; empty without quotas."
    )


class Used(Wire):
    """What the jobs of an account have used in a month."""

    holder: Holder = Field(description="Whose account it is: a tenant's, or the caller's within it.")
    name: str = Field(description="Name of the tenant or of the caller.", examples=["studio"])
    units: int = Field(
        0,
        description="Units of work that were charged: at the submission, less what was canceled or failed before it "
        "was done.",
        examples=[1204000],
    )
    jobs: int = Field(0, description="Jobs that were submitted.", examples=[310])
    pictures: int = Field(0, description="Pictures of jobs that have succeeded.", examples=[420])
    execution_s: float = Field(
        0.0, description="Seconds that workers have held the jobs. Jobs share a worker.", examples=[815.2]
    )


class Ledger:
    """Reads the accounts.

    All methods raise QueueUnavailableError when Redis cannot be reached.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._pace = PaceBook(redis)

    @translates_redis_errors
    def quote(self, resolved: ResolvedRequest | Task, payer: Payer, *, tenant: str, caller: str) -> Quote:
        """What a job would cost, and when it would be done, if it was submitted now.

        Args:
            resolved: the request with every default filled in.
            payer: of the job.
            tenant: of the job; empty for the default one.
            caller: its name within the tenant.
        """
        flow, weight, cost = order_fields(resolved, caller, tenant, payer.weight)
        position, number, _, *told = self._scripts("quote", flow, weight, cost, tenant, payer.dump())
        standing = Standing.read(payer, told)
        return Quote(
            cost=cost,
            queue_position=position,
            eta_s=self._pace.backlog().eta_s(position, cost),
            is_covered=number == 0,
            retry_after_s=round(standing.retry_after_s(cost), 3),
            allowances=standing.allowances,
        )

    @translates_redis_errors
    def allowances(self, payer: Payer) -> tuple[Allowance, ...]:
        """What is left of each limit of a payer now."""
        _, _, _, *told = self._scripts("quote", "", 1, 0, "", payer.dump())
        return Standing.read(payer, told).allowances

    @translates_redis_errors
    def month(self) -> str:
        """This month by the server's clock, as ``202611``."""
        seconds, _ = self._redis.time()
        return f"{datetime.fromtimestamp(seconds, UTC):%Y%m}"

    @translates_redis_errors
    def used(self, accounts: Iterable[tuple[Account, str]], month: str) -> tuple[Used, ...]:
        """What accounts, given with the names to show, have used in a month (``202611``)."""
        listed = list(accounts)
        with self._redis.pipeline(transaction=False) as pipeline:
            for account, _ in listed:
                pipeline.hgetall(keys.usage(account.name, month))
            found = cast("list[dict[str, str]]", pipeline.execute())
        return tuple(
            Used(
                holder=account.holder,
                name=name,
                units=int(fields.get("units", 0)),
                jobs=int(fields.get("jobs", 0)),
                pictures=int(fields.get("pictures", 0)),
                execution_s=int(fields.get("milliseconds", 0)) / 1000,
            )
            for (account, name), fields in zip(listed, found, strict=True)
        )

    @translates_redis_errors
    def tenants(self) -> tuple[str, ...]:
        """Names of all tenants that have had a job, and the default one, by name."""
        return tuple(sorted({DEFAULT_TENANT, *cast("set[str]", self._redis.smembers(keys.TENANTS))}))
