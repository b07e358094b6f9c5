"""The calls about many jobs, as flows."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from jobs.status.lists import Done, FailureList, JobPage
from lodestar.http.flow import Call, Flow, parsed

Action = Literal["cancel", "retry", "delete", "prioritize"]


class Filters(TypedDict, total=False):
    """Which jobs are meant; what is left out, or None, leaves no job out.

    Attributes:
        status: of this status, or of one of several.
        label: that have this label.
        kind: of this kind, or of one of several; ``generate`` leaves out what makes no pictures.
        q: whose prompt has this text, in upper or lower case.
        model: of this model.
        error: that failed with an error of this type.
        caller: of this caller, as a job's ``caller`` names it; ``anonymous`` for those without a name.
        since: submitted then or later: a time, which is local if it names no zone, or a text in ISO 8601.
        until: submitted before.
    """

    status: str | Sequence[str] | None
    label: str | None
    kind: str | Sequence[str] | None
    q: str | None
    model: str | None
    error: str | None
    caller: str | None
    since: datetime | str | None
    until: datetime | str | None


def list_jobs(filters: Filters, cursor: str | None, limit: int, order: str | None = None) -> Flow[JobPage]:
    """One page of jobs."""
    params = _given({**filters, "cursor": cursor, "limit": limit, "order": order})
    return parsed(JobPage, (yield Call("GET", "/v1/jobs", {"params": params})))


def list_failures(filters: Filters) -> Flow[FailureList]:
    """How many jobs failed for each reason."""
    return parsed(FailureList, (yield Call("GET", "/v1/jobs/failures", {"params": _given(filters)})))


def change_all(action: Action, filters: Filters, **more: str) -> Flow[Done]:
    """Do something with every job that fits, in as many calls as it takes; what came of all of them.

    A repetition of a call queues no other job. ``more`` goes along with each call.
    """
    chosen: dict[str, Any] = {
        name: [value] if name in ("status", "kind") and isinstance(value, str) else value
        for name, value in _given(filters).items()
    } | more
    total = Done(data=(), errors=(), more=False)
    cursor: str | None = None
    while True:
        options = {
            "json": chosen if cursor is None else {**chosen, "cursor": cursor},
            "headers": {"Idempotency-Key": uuid.uuid4().hex} if action == "retry" else {},
        }
        done = parsed(Done, (yield Call("POST", f"/v1/jobs/{action}", options)))
        total = Done(
            data=total.data + done.data,
            made=total.made + done.made,
            errors=total.errors + done.errors,
            more=False,
        )
        cursor = done.next_cursor
        if cursor is None:
            return total


def _given(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are not None, times as the API takes them."""
    return {
        name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        for name, value in filters.items()
        if value is not None
    }
