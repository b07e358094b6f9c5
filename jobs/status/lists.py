"""Lists of jobs as callers see them, and what came of a call for many jobs."""

from datetime import datetime

from pydantic import Field

from jobs.status.job import Job
from jobs.wire import Wire

_LOOKED_TO = (
    "If a filter had to look at more jobs than one call may: when the oldest one that it looked at was created. "
    "Null if it looked at all that are listed."
)


class JobPage(Wire):
    """One page of a listing."""

    data: tuple[Job, ...] = Field(description="Jobs, newest first unless another order is asked for.")
    next_cursor: str | None = Field(
        None,
        description="Pass as `cursor` for the next page; null on the last. A page may be empty and have one: see "
        "`looked_to`.",
    )
    looked_to: datetime | None = Field(None, description=_LOOKED_TO)


class Failures(Wire):
    """The jobs that failed for one reason."""

    type: str = Field(description="Stable name of the reason.", examples=["out_of_memory"])
    jobs: int = Field(ge=1, description="How many.")
    newest: str = Field(description="Id of the newest.")


class FailureList(Wire):
    """Why jobs failed."""

    data: tuple[Failures, ...] = Field(description="The reasons, the most frequent one first.")
    looked_to: datetime | None = Field(None, description=_LOOKED_TO)


class Undone(Wire):
    """A job for which the call did nothing."""

    id: str = Field(description="Id of the job.")
    type: str = Field(description="Kind of the error.", examples=["unknown_job"])
    message: str = Field(description="One sentence for a person.")


class Done(Wire):
    """What came of a call for many jobs."""

    data: tuple[str, ...] = Field(
        description="Ids of the jobs for which it was done, in the order of the call."
    )
    made: tuple[str, ...] = Field((), description="Ids of the new jobs, if they were run again.")
    errors: tuple[Undone, ...] = Field(description="Jobs for which nothing was done, and why.")
    more: bool = Field(description="Whether older jobs may be left: `next_cursor` goes on with them.")
    next_cursor: str | None = Field(
        None, description="Pass as `cursor` of the next call, to go on with older jobs; null if none is left."
    )
