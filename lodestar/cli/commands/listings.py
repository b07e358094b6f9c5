"""Commands that list jobs, workers and models. Each imports its own needs, so that the others answer at once."""

import json
import sys
from datetime import UTC, datetime
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

from lodestar.cli import filters
from lodestar.cli.connection import DEFAULT_URL, AsJson, Url, connected

if TYPE_CHECKING:
    from rich.text import Text

    from jobs.status.job import Job
    from lodestar.http.listing import Filters

commands = typer.Typer()

MAX_PAGE = 200
PROMPT_CHARS = 60  # of a line on a terminal
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
STYLES = {"running": "cyan", "succeeded": "green", "failed": "red", "canceled": "yellow"}


@commands.command("jobs")
@filters.filtered
def list_jobs(
    wanted: "Filters",
    turn: Annotated[bool, typer.Option("--turn", help="The queued jobs, the next one first.")] = False,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="Jobs at most, newest first.")] = 20,
    wide: Annotated[
        bool, typer.Option("--wide", help="On a terminal too: whole times and whole prompts.")
    ] = False,
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
            page = client.jobs.list(cursor=cursor, limit=left, order="turn" if turn else None, **wanted)
            found += page.data
            cursor = page.next_cursor
            if cursor is None:
                break
    if as_json:
        typer.echo(json.dumps([job.model_dump(mode="json") for job in found], indent=2))
    else:
        is_short = sys.stdout.isatty() and not wide
        print_table(("job", "status", "submitted", "prompt"), [_row(job, is_short) for job in found])


@commands.command("presets")
def list_presets(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the methods of guidance: the time of a step against an unguided one, the gain, the source."""
    from lodestar.cli.table import print_table

    with connected(url) as client:
        models = client.models()
    presets = models[0].guidance_presets if models else ()
    if as_json:
        typer.echo(json.dumps([preset.model_dump(mode="json") for preset in presets], indent=2))
        return
    rows = [
        (
            preset.id,
            "" if preset.cost is None else f"{preset.cost:g}",
            "" if preset.gain is None else f"{preset.gain:+.3f}",
            preset.target,
            preset.source,
        )
        for preset in presets
    ]
    print_table(("preset", "cost", "gain", "gradient of", "source"), rows)


@commands.command("models")
def list_models(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the models that a job may name."""
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


def _row(job: "Job", is_short: bool) -> "tuple[str, Text, str, str]":
    from rich.text import Text

    from jobs.requests.request import ResolvedRequest

    status = str(job.status)
    if status == "running" and job.progress.steps:
        status = f"running {job.progress.fraction:.0%}"
    subject = job.request.prompt if isinstance(job.request, ResolvedRequest) else f"({job.request.kind})"
    submitted = job.created_at.astimezone().isoformat(sep=" ", timespec="seconds")
    if is_short:
        submitted, subject = _ago(job), shorten(subject, PROMPT_CHARS, placeholder="…")
    return job.id, Text(status, style=STYLES.get(job.status, "")), submitted, subject


def _ago(job: "Job") -> str:
    """How long ago a job was submitted, and how long it ran."""
    seconds = max(0.0, (datetime.now(UTC) - job.created_at).total_seconds())
    unit, size = next((unit, size) for unit, size in _UNITS if seconds >= size or size == 1)
    ran = "" if job.metrics.execution_s is None else f", ran {job.metrics.execution_s:.1f} s"
    return f"{seconds // size:.0f} {unit} ago{ran}"
