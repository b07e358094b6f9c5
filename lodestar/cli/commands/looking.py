"""Commands that look at a service and at a job. Each imports what it needs, so that the others answer at once."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lodestar.cli.completion import job_ids
from lodestar.cli.connection import DEFAULT_URL, AsJson, JobId, Url, connected
from lodestar.cli.exits import Exit, say

if TYPE_CHECKING:
    from jobs.status.job import Job
    from jobs.status.workers import QueueInfo, WorkerInfo

commands = typer.Typer()


@commands.command()
def status(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Tell how a service does: its version, its queue, its workers."""
    with connected(url) as client:
        version = client.call("GET", "/v1/version").json()["version"]
        queue, workers = client.queue(), client.workers()
    if as_json:
        told = {
            "version": version,
            "queue": queue.model_dump(mode="json"),
            "workers": [worker.model_dump(mode="json") for worker in workers],
        }
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(f"lodestar {version} at {client.url}")
    typer.echo(_queue_words(queue))
    for worker in workers:
        typer.echo(_worker_words(worker))


@commands.command()
def logs(
    worker: Annotated[
        str | None, typer.Argument(help="Name of a worker, or its beginning; all if left out.")
    ] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Print the end of the workers' logs, also of those that were lost within the last hour."""
    with connected(url) as client:
        told = client.call("GET", "/v1/workers").json()
    found = [each for each in (*told["gone"], *told["data"]) if each["name"].startswith(worker or "")]
    if worker and not found:
        say(f"lodestar: there is no worker {worker!r}, and was none within the last hour")
        raise typer.Exit(Exit.ERROR)
    for each in found:
        if len(found) > 1:
            say(f"{each['name']}:")
        typer.echo("".join(f"{line}\n" for line in each["log"]), nl=False)


@commands.command()
def show(job_id: JobId, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show a job: its status, its pictures, and every field of its request."""
    with connected(url) as client:
        job = client.jobs.get(job_id)
    if as_json:
        typer.echo(job.model_dump_json(indent=2))
        return
    for name, value in _facts(job):
        typer.echo(f"{name}\t{value}")


@commands.command("open")
def open_page(
    job_id: Annotated[
        str | None,
        typer.Argument(help="Id of a job; the list of jobs if left out.", autocompletion=job_ids()),
    ] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Open the dashboard in this machine's browser; prints its address."""
    from urllib.parse import quote

    from lodestar.http.connection import address

    page = f"{address(url)}/#/" + ("" if job_id is None else f"jobs/{quote(job_id, safe='')}")
    typer.echo(page)
    typer.launch(page)


def _queue_words(queue: "QueueInfo") -> str:
    from jobs.status.job import JobStatus

    waiting, running = (queue.jobs.get(status, 0) for status in (JobStatus.QUEUED, JobStatus.RUNNING))
    end = "" if queue.eta_s is None else f", done in about {queue.eta_s:.0f} s"
    return f"{waiting} of {queue.max_queued} waiting, {running} running{end}"


def _worker_words(worker: "WorkerInfo") -> str:
    loaded = ", ".join(worker.models) or "no model loaded"
    taken, places = len(worker.jobs), len(worker.jobs) + worker.room
    room = f"draining, {taken} jobs left" if worker.draining else f"{taken} of {places} places taken"
    return f"worker {worker.name} on {worker.device}: {room}, {loaded}"


def _facts(job: "Job") -> Iterator[tuple[str, str]]:
    yield "id", job.id
    yield "status", str(job.status)
    yield "submitted", job.created_at.astimezone().isoformat(sep=" ", timespec="seconds")
    if job.metrics.execution_s is not None:
        yield "ran", f"{job.metrics.execution_s:.1f} s"
    if job.error is not None:
        yield "error", f"{job.error.message} ({job.error.type})"
    for note in job.notes:
        yield "note", note
    for image in job.images:
        scores = [f"seed {image.seed}", f"{image.width} x {image.height}"]
        scores += [] if image.clip_score is None else [f"CLIP {image.clip_score:.3f}"]
        scores += [] if image.aesthetic_score is None else [f"aesthetic {image.aesthetic_score:.2f}"]
        yield f"{job.id}/{image.index}", ", ".join(scores)
    yield from _flat(job.request.model_dump(mode="json"))


def _flat(fields: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Fields of fields with dots, as --set takes them; those without a value are left out."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        elif value not in (None, "", []):
            yield before + name, value if isinstance(value, str) else json.dumps(value)
