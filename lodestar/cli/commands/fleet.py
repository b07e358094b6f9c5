"""Commands about the workers. Each imports what it needs, so that the others answer at once."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from lodestar.cli.completion import workers
from lodestar.cli.connection import DEFAULT_URL, AsJson, Url, connected
from lodestar.cli.exits import Exit, say

if TYPE_CHECKING:
    from jobs.status.workers import WorkerInfo
    from lodestar.client import Client

commands = typer.Typer()
group = typer.Typer(invoke_without_command=True)
commands.add_typer(group, name="workers")

Name = Annotated[
    str,
    typer.Argument(
        metavar="WORKER",
        help="Name of a worker, or its beginning if only one has it.",
        autocompletion=workers,
    ),
]


@group.callback()
def list_workers(context: typer.Context, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the workers, and those that stopped or were lost within the last hour; drain and resume one."""
    from lodestar.cli.table import print_table

    if context.invoked_subcommand is not None:
        return
    with connected(url) as client:
        told = client.call("GET", "/v1/workers").json()
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    rows = [
        (
            each["name"],
            "draining" if each["draining"] else "alive",
            each["device"],
            f"{len(each['jobs'])} jobs",
            ", ".join(each["models"]),
        )
        for each in told["data"]
    ]
    rows += [
        (
            each["name"],
            each.get("ending") or ("lost" if each["was_lost"] else "stopped"),
            each["device"],
            "",
            "",
        )
        for each in told["gone"]
    ]
    print_table(("worker", "state", "device", "jobs", "models"), rows)


@group.command()
def drain(name: Name, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Have a worker finish its jobs and take no other, until `resume` or the end of its process."""
    with connected(url) as client:
        _tell(client.drain(_whole(client, name)), as_json=as_json)


@group.command()
def resume(name: Name, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Have a drained worker take jobs again."""
    with connected(url) as client:
        _tell(client.resume(_whole(client, name)), as_json=as_json)


def _whole(client: "Client", name: str) -> str:
    """The name of the one worker whose name begins so; the same if there is none, or one that is called so."""
    names = [worker.name for worker in client.workers() if worker.name.startswith(name)]
    if len(names) > 1 and name not in names:
        say(f"lodestar: the names of several workers begin with {name!r}: {', '.join(names)}")
        raise typer.Exit(Exit.ERROR)
    return names[0] if len(names) == 1 else name


def _tell(worker: "WorkerInfo", *, as_json: bool) -> None:
    if as_json:
        typer.echo(worker.model_dump_json(indent=2, exclude={"log"}))
        return
    state = "takes no more jobs" if worker.draining else "takes jobs"
    jobs = f"{len(worker.jobs)} job{'' if len(worker.jobs) == 1 else 's'}"
    typer.echo(f"{worker.name}\t{state}\t{jobs} running")
