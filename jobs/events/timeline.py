"""The turns of a job's life, of the events that are kept of it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import Field

from jobs.events.events import Event
from jobs.status.job import JobStatus
from jobs.wire import Wire

_TURNS = ("queued", "started", "log", "canceling", "done")


class Moment(Wire):
    """A turn in a job's life."""

    at: datetime = Field(description="When it happened, by the clock of Redis.")
    type: Literal["queued", "started", "log", "canceling", "done"] = Field(
        description="As of the event: it waits, a worker has started it, a line of its log, a cancel was requested, it "
        "has ended."
    )
    reason: str | None = Field(
        None, description="Of `queued`: submitted, worker_lost or released.", examples=["worker_lost"]
    )
    worker: str | None = Field(None, description="Of `started`: name of the worker.", examples=["gpu-1.4242"])
    attempt: int | None = Field(None, description="Of `started`: number of the attempt, from 1.")
    message: str | None = Field(None, description="Of `log`: one sentence.")
    status: JobStatus | None = Field(None, description="Of `done`: succeeded, failed or canceled.")


class Timeline(Wire):
    """The turns of a job's life so far."""

    data: tuple[Moment, ...] = Field(description="The moments, in their order.")
    is_complete: bool = Field(
        description="Whether they begin with the submission. Events are kept until an hour after the job's end, the "
        "last 1000 of a job."
    )


def timeline_of(events: Iterable[Event]) -> Timeline:
    """The turns among a job's events."""
    known = Moment.model_fields.keys()
    moments = tuple(
        Moment.model_validate({name: value for name, value in event.model_dump().items() if name in known})
        for event in events
        if event.type in _TURNS
    )
    return Timeline(data=moments, is_complete=bool(moments) and moments[0].reason == "submitted")
