"""The command that follows jobs. It imports what it needs, so that the others answer at once."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from lodestar.cli.completion import job_ids
from lodestar.cli.connection import DEFAULT_URL, AsJson, Url, connected
from lodestar.cli.exits import Exit, end_as, say

if TYPE_CHECKING:
    from lodestar.http.streams import StreamedEvent

commands = typer.Typer()


@commands.command()
def watch(
    job_id: Annotated[
        str | None,
        typer.Argument(
            help="Id of the job; all jobs if left out.", autocompletion=job_ids("queued", "running")
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Follow a job to its end, or all jobs until Ctrl-C. With --json: every event as one line.

    Exit codes: 0 the job succeeded, 1 error, 3 it failed, 5 it was canceled, 130 Ctrl-C.
    """
    with connected(url) as client:
        events = client.jobs.events(job_id)
        try:
            if job_id is None:
                _print_all(events, as_json)
            else:
                _show_one(job_id, _printed(events) if as_json else events, quiet=as_json)
        except KeyboardInterrupt as error:
            raise typer.Exit(Exit.INTERRUPTED) from error


def _show_one(job_id: str, events: "Iterator[StreamedEvent]", *, quiet: bool) -> None:
    from lodestar.cli.following import follow

    job = follow(events, quiet=quiet)
    if job is None:
        say(f"lodestar: job {job_id} was deleted")
        raise typer.Exit(Exit.ERROR)
    # On a terminal, what showed the progress has said it.
    if not quiet and not sys.stdout.isatty():
        typer.echo(job.status)
    end_as(job)


def _printed(events: "Iterator[StreamedEvent]") -> "Iterator[StreamedEvent]":
    for event in events:
        typer.echo(json.dumps(event.data))
        yield event


def _print_all(events: "Iterator[StreamedEvent]", as_json: bool) -> None:
    for event in _printed(events) if as_json else events:
        words = "" if as_json else _words(event)
        if words:
            typer.echo(f"{event.data['at'][:19]}Z  {event.data['job_id']}  {words}")


def _words(event: "StreamedEvent") -> str:
    data = event.data
    match event.name:
        case "queued":
            return f"queued ({data['reason'].replace('_', ' ')})"
        case "started":
            return f"started by {data['worker']}"
        case "progress":
            return f"step {data['step']} of {data['steps']}"
        case "log":
            return str(data["message"])
        case "done":
            return str(data["status"])
        case "canceling" | "deleted":
            return event.name
    return ""  # a snapshot, a preview, or what a newer server tells
