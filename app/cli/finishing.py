"""A command's wait for its job, and its message if the wait ends early."""

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.exits import Exit, say

if TYPE_CHECKING:
    from app.client.jobs import Client
    from jobs.status.job import Job

Wait = Annotated[float | None, typer.Option(min=0, help="Seconds to wait; by default as long as it takes.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")]


def wait_for_end(client: "Client", job_id: str, wait: float | None, *, as_json: bool, quiet: bool) -> "Job":
    """The job once it has ended, a bar moving meanwhile. If that takes too long, or at Ctrl-C, the command ends."""
    from app.client.follow import wait_with_bar
    from app.client.jobs import WaitTimeoutError

    try:
        return wait_with_bar(client, job_id, timeout_s=float("inf") if wait is None else wait, quiet=quiet)
    except KeyboardInterrupt as error:
        _say_how_to_come_back(client, job_id)
        raise typer.Exit(Exit.INTERRUPTED) from error
    except WaitTimeoutError as error:
        _say_how_to_come_back(client, job_id)
        if as_json:
            typer.echo(client.get(job_id).model_dump_json(indent=2))
        raise typer.Exit(Exit.WAIT_TIMED_OUT) from error


def _say_how_to_come_back(client: "Client", job_id: str) -> None:
    say(f"Job {job_id} goes on without us. To come back to it:\n  lodestar wait {job_id} --url {client.url}")
