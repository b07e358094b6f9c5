"""The options that say which jobs a command is about, the same for every command that takes them."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lodestar.cli.completion import models

if TYPE_CHECKING:
    from lodestar.http.listing import Filters

_UNIT_S = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_AGE = re.compile(r"(\d{1,6}(?:\.\d+)?)\s*(s|min|h|d|w)")


class Status(StrEnum):
    """The statuses of jobs, which the command line knows before it imports what has them."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class Kind(StrEnum):
    """The kinds of jobs, likewise."""

    GENERATE = "generate"
    EMBEDDING = "embedding"
    IMPORT = "import"
    SCORE = "score"
    QUERY = "query"
    DESCRIBE = "describe"
    ENLARGE = "enlarge"


class Priority(StrEnum):
    """The priorities of jobs, likewise."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


def moment(text: str) -> datetime:
    """The time of an age such as ``2h``, or of a date in ISO 8601, which is local if it names no zone.

    Raises:
        BadParameter: it is neither.
    """
    if age := _AGE.fullmatch(text.strip()):
        try:
            return datetime.now(UTC) - timedelta(seconds=float(age[1]) * _UNIT_S[age[2]])
        except OverflowError as error:
            raise typer.BadParameter(f"{text!r} is before the first year") from error
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is neither an age, such as 30min, 2h or 3d, nor a time, such as 2026-11-27 or 2026-11-27T09:00"
        ) from error


Statuses = Annotated[
    list[Status] | None, typer.Option("--status", help="Only jobs of this status; may be given again.")
]
LabelOption = Annotated[str | None, typer.Option("--label", help="Only jobs that have this label.")]
Kinds = Annotated[
    list[Kind] | None, typer.Option("--kind", help="Only jobs of this kind; may be given again.")
]
Text = Annotated[str | None, typer.Option("--q", help="Only jobs whose prompt has this text.")]
Model = Annotated[str | None, typer.Option("--model", help="Only jobs of this model.", autocompletion=models)]
ErrorOption = Annotated[
    str | None, typer.Option("--error", help="Only jobs that failed so, such as out_of_memory.")
]
Caller = Annotated[
    str | None, typer.Option("--caller", help="Only jobs of this caller, as `show` names it; or anonymous.")
]
Since = Annotated[
    datetime | None,
    typer.Option(
        "--since", parser=moment, metavar="TIME", help="Only jobs submitted since: 2h, 3d, or a date."
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option("--until", parser=moment, metavar="TIME", help="Only jobs submitted before, likewise."),
]


def chosen(
    status: list[Status] | None,
    label: str | None,
    kind: list[Kind] | None,
    q: str | None,
    model: str | None,
    error: str | None,
    caller: str | None,
    since: datetime | None,
    until: datetime | None,
) -> "Filters":
    """The filters of these options, without those that were not given."""
    given = {
        "status": status,
        "label": label,
        "kind": kind,
        "q": q,
        "model": model,
        "error": error,
        "caller": caller,
        "since": since,
        "until": until,
    }
    found: Filters = {name: value for name, value in given.items() if value}  # type: ignore[assignment]
    return found
