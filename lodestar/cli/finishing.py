"""A command's wait for its job, and its message if the wait ends early."""

from typing import TYPE_CHECKING, Annotated

import typer

from lodestar.cli.exits import Exit, say

if TYPE_CHECKING:
    from jobs.status.job import Job
    from lodestar.client import Client

Wait = Annotated[float | None, typer.Option(min=0, help="Seconds to wait; by default as long as it takes.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")]


def wait_for_end(client: "Client", job_id: str, wait: float | None, *, as_json: bool, quiet: bool) -> "Job":
    """The job once it has ended, a bar moving meanwhile. If that takes too long, or at Ctrl-C, the command ends."""
    from lodestar.errors import WaitTimeoutError

    try:
        return client.jobs.wait(job_id, progress=not quiet, timeout_s=wait)
    except KeyboardInterrupt as error:
        _say_how_to_come_back(client, job_id)
        raise typer.Exit(Exit.INTERRUPTED) from error
    except WaitTimeoutError as error:
        if not quiet:
            _say_how_to_come_back(client, job_id)
        if as_json:
            typer.echo(client.jobs.get(job_id).model_dump_json(indent=2))
        raise typer.Exit(Exit.WAIT_TIMED_OUT) from error


def wait_line(client: "Client", job_id: str) -> str:
    """The command that waits for a job."""
    return f"lodestar wait {job_id} --url {client.url}"


def _say_how_to_come_back(client: "Client", job_id: str) -> None:
    say(f"Job {job_id} goes on without us. To come back to it:\n  {wait_line(client, job_id)}")
