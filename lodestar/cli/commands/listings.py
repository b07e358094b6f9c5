"""Commands that list jobs, workers and models. Each imports its own needs, so that the others answer at once."""

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lodestar.cli.completion import job_ids
from lodestar.cli.connection import DEFAULT_URL, AsJson, Url, connected

if TYPE_CHECKING:
    from rich.text import Text

    from jobs.status.job import Job

commands = typer.Typer()

MAX_PAGE = 200
STYLES = {"running": "cyan", "succeeded": "green", "failed": "red", "canceled": "yellow"}


class Status(StrEnum):
    """The statuses of jobs, which the command line knows before it imports what has them."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


@commands.command("jobs")
def list_jobs(
    status: Annotated[
        list[Status] | None, typer.Option(help="Only jobs of this status; may be given again.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Only jobs that have this label.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="Jobs at most, newest first.")] = 20,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first. Off a terminal: lines of id, status, time and prompt with tabs between."""
    from lodestar.cli.table import print_table

    found: list[Job] = []
    cursor: str | None = None
    with connected(url) as client:
        while len(found) < limit:
            left = min(limit - len(found), MAX_PAGE)
            page = client.jobs.list(status=status, label=label, cursor=cursor, limit=left)
            found += page.data
            cursor = page.next_cursor
            if cursor is None:
                break
    if as_json:
        typer.echo(json.dumps([job.model_dump(mode="json") for job in found], indent=2))
    else:
        print_table(("job", "status", "submitted", "prompt"), [_row(job) for job in found])


@commands.command()
def cancel(
    job_ids: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB_ID...", help="Ids of the jobs.", autocompletion=job_ids("queued", "running")
        ),
    ],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Cancel jobs; prints the status of each. A running job stays `running` until its worker stops it."""
    with connected(url) as client:
        for job_id in job_ids:
            job = client.jobs.cancel(job_id)
            typer.echo(job.model_dump_json(indent=2) if as_json else job.status)


@commands.command()
def retry(
    job_ids: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB_ID...", help="Ids of the jobs.", autocompletion=job_ids("failed", "canceled")
        ),
    ],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Run jobs again, with their seeds; prints the id of each new job."""
    with connected(url) as client:
        for job_id in job_ids:
            job = client.jobs.retry(job_id)
            typer.echo(job.model_dump_json(indent=2) if as_json else job.id)


@commands.command("models")
def list_models(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the models that a job may name, and the methods of guidance."""
    from lodestar.cli.table import print_table

    with connected(url) as client:
        models = client.models()
    if as_json:
        typer.echo(json.dumps([model.model_dump(mode="json") for model in models], indent=2))
        return
    rows = []
    for model in models:
        defaults = model.defaults
        size = f"{defaults.width}x{defaults.height}"
        rows.append((model.id, size, str(defaults.steps), defaults.clip, model.description))
    print_table(("model", "size", "steps", "guide", "draws"), rows)
    if models:
        presets = [(preset.id, preset.target, preset.source) for preset in models[0].guidance_presets]
        print_table(("preset", "gradient of", "source"), presets)


def _row(job: "Job") -> "tuple[str, Text, str, str]":
    from rich.text import Text

    from jobs.requests.request import ResolvedRequest

    status = str(job.status)
    if status == "running" and job.progress.steps:
        status = f"running {job.progress.fraction:.0%}"
    submitted = job.created_at.astimezone().isoformat(sep=" ", timespec="seconds")
    subject = job.request.prompt if isinstance(job.request, ResolvedRequest) else f"({job.request.kind})"
    return job.id, Text(status, style=STYLES.get(job.status, "")), submitted, subject
