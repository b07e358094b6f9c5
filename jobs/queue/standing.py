"""What is left in the accounts that a job is charged to: the answers of ``lua/accounts.lua`` in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from math import ceil, floor
from typing import cast, get_args

from pydantic import Field

from jobs.callers.payer import Account, Holder, Payer
from jobs.callers.quota import LimitName, Quota
from jobs.db.times import instant
from jobs.errors import LodestarError, QueueFullError, QuotaExceededError, RateLimitedError
from jobs.wire import Wire

_FIELDS: tuple[LimitName, ...] = get_args(LimitName)
_QUEUE_PATIENCE_S = 10.0


class Allowance(Wire):
    """One limit of an account, and what is left of it."""

    holder: Holder = Field(description="Whose limit it is: the tenant's, or the caller's within it.")
    limit: LimitName = Field(
        description="What is limited: `requests` in a minute, `units` of work at once, `waiting` jobs, or units in a "
        "`month`."
    )
    most: int = Field(ge=1, description="The limit.", examples=[24000])
    remaining: int = Field(ge=0, description="What is left of it now.", examples=[18250])
    window_s: int | None = Field(
        None,
        ge=1,
        description="Seconds in which all of it is granted anew; null for `waiting`.",
        examples=[60],
    )
    reset_s: float | None = Field(
        None, ge=0, description="Seconds until all of it is left again; null for `waiting`.", examples=[14.4]
    )


Note = Callable[[tuple[Allowance, ...]], object]


def ignore(_: tuple[Allowance, ...]) -> None:
    """Note nothing."""


@dataclass(frozen=True)
class Standing:
    """How the accounts of a payer stand at one moment."""

    payer: Payer
    now: datetime
    used: tuple[dict[LimitName, float], ...]

    @classmethod
    def read(cls, payer: Payer, told: Sequence[str]) -> "Standing":
        """As the scripts tell it."""
        numbers, width = [float(number) for number in told[1:]], len(_FIELDS)
        parts = (numbers[start : start + width] for start in range(0, len(numbers), width))
        used = tuple(cast("dict[LimitName, float]", dict(zip(_FIELDS, part, strict=True))) for part in parts)
        return cls(payer, instant(int(told[0])), used)

    @property
    def allowances(self) -> tuple[Allowance, ...]:
        """All limits, and what is left of each."""
        return tuple(
            self._allowance(account, used, limit)
            for account, used in zip(self.payer.accounts, self.used, strict=True)
            for limit in _FIELDS
            if _most(account.quota, limit)
        )

    def refusal(self, number: int, limit: LimitName, cost: int) -> LodestarError:
        """The error of a job of this cost that breaks a limit of the account of this number, counted from 1."""
        account = self.payer.accounts[number - 1]
        allowance = self._allowance(account, self.used[number - 1], limit)
        whose, most, left = f"the {account.holder}'s quota", allowance.most, allowance.remaining
        retry_s = self.retry_after_s(cost)
        match limit:
            case "month":
                return QuotaExceededError(
                    f"the job costs {cost} units of work, and {left} of the {most} are left that {whose} grants in a "
                    "month (units_per_month)",
                    retry_after_s=retry_s,
                )
            case "waiting":
                return QueueFullError(
                    f"{most} jobs are waiting already, and {whose} lets no more wait (max_waiting)",
                    retry_after_s=retry_s,
                )
            case "units":
                rate = account.quota.units_per_second
                return RateLimitedError(
                    f"the job costs {cost} units of work, and {left} are left at present: {whose} grants {rate:g} a "
                    f"second (units_per_second), and {most} at once (burst_units)",
                    retry_after_s=retry_s,
                )
            case "requests":
                return RateLimitedError(
                    f"{whose} grants {most} submissions a minute (requests_per_minute)", retry_after_s=retry_s
                )

    def retry_after_s(self, cost: int) -> float:
        """Seconds after which a job of this cost breaks no limit, if nothing else is submitted meanwhile."""
        waits = [0.0]
        for account, used in zip(self.payer.accounts, self.used, strict=True):
            quota = account.quota
            if quota.units_per_month and used["month"] + cost > quota.units_per_month:
                waits.append(self._month_s[1])
            if quota.max_waiting and used["waiting"] + 1 > quota.max_waiting:
                waits.append(_QUEUE_PATIENCE_S)
            if quota.units_per_second:
                waits.append((used["units"] + cost - quota.burst) / quota.units_per_second)
            if quota.requests_per_minute:
                beyond = used["requests"] + 1 - quota.requests_per_minute
                waits.append(beyond * 60 / quota.requests_per_minute)
        return max(waits)

    def _allowance(self, account: Account, used: dict[LimitName, float], limit: LimitName) -> Allowance:
        most = _most(account.quota, limit) or 1
        window_s: float | None = None
        reset_s: float | None = None
        if limit == "month":
            window_s, reset_s = self._month_s
        elif limit != "waiting":
            window_s = most / (account.quota.units_per_second or 1) if limit == "units" else 60
            reset_s = used[limit] / most * window_s
        # Without validation, which takes longer than all else of it.
        return Allowance.model_construct(
            holder=account.holder,
            limit=limit,
            most=most,
            remaining=max(0, floor(most - used[limit])),
            window_s=None if window_s is None else max(1, ceil(window_s)),
            reset_s=None if reset_s is None else round(reset_s, 3),
        )

    @cached_property
    def _month_s(self) -> tuple[float, float]:
        """Seconds of this month: all of them, and those that are left."""
        begun = self.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        year, month = divmod(begun.year * 12 + begun.month, 12)
        ends = datetime(year, month + 1, 1, tzinfo=UTC)
        return (ends - begun).total_seconds(), (ends - self.now).total_seconds()


def require_covered(payer: Payer, told: Sequence[str | int], cost: int, note: Note) -> None:
    """Raise the error of a submission that breaks a limit.

    Args:
        payer: of the submission.
        told: the answer of ``lua/submit.lua`` behind the job's id; empty for a replay, which is charged to nobody.
        cost: of the job.
        note: is told what is left of the payer's limits.

    Raises:
        RateLimitedError, QuotaExceededError, QueueFullError: a limit is broken.
    """
    if not told:
        return
    number, limit, *stands = told
    standing = Standing.read(payer, [str(each) for each in stands])
    note(standing.allowances)
    if number:
        raise standing.refusal(int(number), cast("LimitName", limit), cost)


def _most(quota: Quota, limit: LimitName) -> int | None:
    match limit:
        case "requests":
            return quota.requests_per_minute
        case "units":
            return quota.burst or None
        case "waiting":
            return quota.max_waiting
        case "month":
            return quota.units_per_month
