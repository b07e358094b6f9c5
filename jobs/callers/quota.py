"""Quotas: how much work a tenant, or a caller within it, may ask for."""

from math import ceil
from typing import Any, Literal

from pydantic import Field, model_validator

from jobs.wire import Wire

LEAST_RATE = 1e-6  # units a second: less than three in a month
MOST = 10**15  # of anything: doubles hold whole numbers beyond it, and no service reaches it

LimitName = Literal["requests", "units", "waiting", "month"]


class Quota(Wire):
    """Limits; what is left out is not limited. The text ``units_per_second=20,max_waiting=50`` stands for one, too.

    A unit is one row of one denoising step at 64 x 64 pixels, as ``cost_of`` estimates them.
    """

    requests_per_minute: int | None = Field(
        None, ge=1, le=MOST, description="Submissions in a minute; as many may come at once.", examples=[60]
    )
    units_per_second: float | None = Field(
        None,
        ge=LEAST_RATE,
        le=MOST,
        allow_inf_nan=False,
        description="Units of work that are granted in a second, on average.",
        examples=[400],
    )
    burst_units: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="Units that may be asked for at once after a quiet time, so also the most that a job may cost; "
        "those of a minute if left out.",
        examples=[24000],
    )
    max_waiting: int | None = Field(None, ge=1, le=MOST, description="Jobs that may wait.", examples=[100])
    units_per_month: int | None = Field(
        None, ge=1, le=MOST, description="Units in a calendar month, in UTC.", examples=[50000000]
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.replace(",", " ").split()]
        names = [name for name, _, _ in pairs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is given twice")
        return {name: number for name, _, number in pairs}

    @model_validator(mode="after")
    def _is_burst_of_a_rate(self) -> "Quota":
        if self.burst_units is not None and self.units_per_second is None:
            raise ValueError("burst_units needs units_per_second")
        return self

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.model_dump(exclude_none=True).items())

    @property
    def burst(self) -> int:
        """Units that may be asked for at once; 0 without a rate."""
        return self.burst_units or ceil(60 * (self.units_per_second or 0))

    @property
    def most_of_one_job(self) -> tuple[int, str] | None:
        """The most units that a job may cost, and the limit that says so; None without one."""
        ceilings = ((self.burst, "burst_units"), (self.units_per_month or 0, "units_per_month"))
        return min((each for each in ceilings if each[0]), default=None)


NO_QUOTA = Quota()
