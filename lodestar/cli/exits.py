"""The messages of commands, on stderr, and their exit codes."""

import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from jobs.status.job import Job


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    JOB_FAILED = 3
    CANCELED = 5
    WAIT_TIMED_OUT = 6
    CONFIGURATION = 78  # EX_CONFIG: the supervisor does not start a child again that says so
    INTERRUPTED = 130


def say(message: str) -> None:
    """Print a message for a person."""
    typer.echo(message, err=True)


def reassure(message: str) -> None:
    """Print a progress message on a terminal; in a log, an error stays the only line."""
    if sys.stderr.isatty():
        say(message)


def each(job_ids: Sequence[str], act: Callable[[str], object]) -> None:
    """Act on each job. One that it cannot be done for is told, and ends the command after the last with 1.

    Raises:
        ClientError: the server is away, or lets nobody in: it would be the same for all that follow.
    """
    from lodestar.errors import NotAllowedError, RefusedError

    failed = False
    for job_id in job_ids:
        try:
            act(job_id)
        except NotAllowedError:
            raise
        except RefusedError as error:
            say(f"lodestar: {error.message}")
            failed = True
    if failed:
        raise typer.Exit(Exit.ERROR)


def end_as(job: "Job") -> None:
    """End the command as a job has ended; one that succeeded ends nothing."""
    from jobs.status.job import JobStatus

    if job.status is JobStatus.FAILED:
        say(f"lodestar: job {job.id} failed: {job.error.message if job.error else 'no reason is known'}")
        raise typer.Exit(Exit.JOB_FAILED)
    if job.status is JobStatus.CANCELED:
        say(f"lodestar: job {job.id} was canceled")
        raise typer.Exit(Exit.CANCELED)
