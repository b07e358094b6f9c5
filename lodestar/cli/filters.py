"""The options that say which jobs a command is about, the same for every command that takes them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer

from lodestar.cli.completion import models

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


def _time(name: str, help_text: str) -> Any:
    return typer.Option(name, parser=moment, metavar="TIME", help=help_text)


# By the names that a search of jobs has for them. No other command declares one of these.
OPTIONS: dict[str, Any] = {
    "status": Annotated[
        list[Status] | None, typer.Option("--status", help="Only jobs of this status; may be given again.")
    ],
    "label": Annotated[str | None, typer.Option("--label", help="Only jobs that have this label.")],
    "kind": Annotated[
        list[Kind] | None, typer.Option("--kind", help="Only jobs of this kind; may be given again.")
    ],
    "q": Annotated[str | None, typer.Option("--q", help="Only jobs whose prompt has this text.")],
    "model": Annotated[
        str | None, typer.Option("--model", help="Only jobs of this model.", autocompletion=models)
    ],
    "error": Annotated[
        str | None, typer.Option("--error", help="Only jobs that failed so, such as out_of_memory.")
    ],
    "caller": Annotated[
        str | None,
        typer.Option("--caller", help="Only jobs of this caller, as `show` names it; or anonymous."),
    ],
    "since": Annotated[datetime | None, _time("--since", "Only jobs submitted since: 2h, 3d, or a date.")],
    "until": Annotated[datetime | None, _time("--until", "Only jobs submitted before, likewise.")],
}


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which jobs it is about.

    Args:
        command: has a parameter ``wanted``, in whose place the options stand: it gets the ``Filters`` of those that
            were given.
    """

    @wraps(command)
    def with_options(**given: Any) -> None:
        values = {name: given.pop(name) for name in OPTIONS}
        command(wanted={name: value for name, value in values.items() if value}, **given)

    parameters = [each for own in signature(command).parameters.values() for each in _in_place_of(own)]
    with_options.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_options


def _in_place_of(own: Parameter) -> list[Parameter]:
    """The parameters that stand for one of a command; by name alone, so that defaults may come first."""
    if own.name != "wanted":
        return [own.replace(kind=Parameter.KEYWORD_ONLY)]
    return [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in OPTIONS.items()
    ]
