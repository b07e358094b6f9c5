"""Commands that change jobs, by their ids or all that fit: cancel, prioritize, run again, delete.

Each imports its own needs.
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lodestar.cli import filters
from lodestar.cli.completion import job_ids
from lodestar.cli.connection import DEFAULT_URL, AsJson, Url, connected
from lodestar.cli.exits import Exit, each, say

if TYPE_CHECKING:
    from jobs.status.lists import Done
    from lodestar.http.listing import Filters

commands = typer.Typer()

_IDS = "Ids of the jobs; or none, and options that say which."


@commands.command()
@filters.filtered
def cancel(
    wanted: "Filters",
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="JOB_ID...", help=_IDS, autocompletion=job_ids("queued", "running")),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Cancel jobs. A running job stays `running` until its worker stops it.

    Prints the status of each that is named by its id; else the ids of those that fit, of the queued and the running
    ones unless a status is given.
    """
    _require_one_way(ids, wanted)
    with connected(url) as client:

        def one(job_id: str) -> None:
            job = client.jobs.cancel(job_id)
            typer.echo(job.model_dump_json(indent=2) if as_json else job.status)

        if ids:
            each(ids, one)
        else:
            _tell(client.jobs.cancel_all(**wanted), as_json=as_json)


@commands.command()
@filters.filtered
def retry(
    wanted: "Filters",
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="JOB_ID...", help=_IDS, autocompletion=job_ids("failed", "canceled")),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Run jobs again, with their seeds; prints the id of each new job.

    Without ids: those that fit, of the failed and the canceled ones unless a status is given.
    """
    _require_one_way(ids, wanted)
    with connected(url) as client:

        def one(job_id: str) -> None:
            job = client.jobs.retry(job_id)
            typer.echo(job.model_dump_json(indent=2) if as_json else job.id)

        if ids:
            each(ids, one)
        else:
            _tell(client.jobs.retry_all(**wanted), as_json=as_json)


@commands.command()
@filters.filtered
def delete(
    wanted: "Filters",
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="JOB_ID...", help=_IDS, autocompletion=job_ids())
    ] = None,
    url: Url = DEFAULT_URL,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask first, on a terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete jobs and their pictures; a running job stops. Without ids: all that fit, whose ids are printed."""
    _require_one_way(ids, wanted)
    if not yes and sys.stdin.isatty():
        which = f"{len(ids)} job{'s' * (len(ids) > 1)}" if ids else f"all jobs of {_words(wanted)}"
        typer.confirm(f"Delete {which} and their pictures?", abort=True)
    with connected(url) as client:
        if ids:
            each(ids, client.jobs.delete)
        else:
            _tell(client.jobs.delete_all(**wanted), as_json=as_json)


@commands.command()
@filters.filtered
def prioritize(
    wanted: "Filters",
    priority: Annotated[filters.Priority, typer.Argument(help="The new priority.", show_default=False)],
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="JOB_ID...", help=_IDS, autocompletion=job_ids("queued")),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Give waiting jobs another priority.

    Prints the number of jobs before each that is named by its id; else the ids of those that fit.
    """
    _require_one_way(ids, wanted)
    with connected(url) as client:

        def one(job_id: str) -> None:
            job = client.jobs.prioritize(job_id, priority)
            typer.echo(job.model_dump_json(indent=2) if as_json else job.queue_position)

        if ids:
            each(ids, one)
        else:
            _tell(client.jobs.prioritize_all(priority, **wanted), as_json=as_json)


def _require_one_way(ids: list[str] | None, wanted: "Filters") -> None:
    if bool(ids) == bool(wanted):
        raise typer.BadParameter("give either ids of jobs, or options that say which, such as --label")


def _words(wanted: "Filters") -> str:
    return ", ".join(
        f"{name} {', '.join(value) if isinstance(value, list) else value}" for name, value in wanted.items()
    )


def _tell(done: "Done", *, as_json: bool) -> None:
    """Print the new jobs, or those for which it was done; the others are told, and end the command with 1."""
    if as_json:
        typer.echo(done.model_dump_json(indent=2, exclude={"more", "next_cursor"}))
    else:
        for job_id in done.made or done.data:
            typer.echo(job_id)
    for undone in done.errors:
        say(f"lodestar: {undone.id}: {undone.message}")
    if done.errors:
        raise typer.Exit(Exit.ERROR)
