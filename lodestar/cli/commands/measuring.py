"""The command that measures a running service. It imports what it needs, so that the others answer at once."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from lodestar.cli.connection import DEFAULT_URL, AsJson, Url, connected
from lodestar.cli.exits import Exit, reassure

commands = typer.Typer()


@commands.command()
def bench(
    prompt: Annotated[str, typer.Argument(help="Description of the pictures.")] = "a red apple",
    jobs: Annotated[int, typer.Option("-n", "--jobs", min=1, help="Jobs in all, each of its own seed.")] = 8,
    concurrency: Annotated[int, typer.Option("-c", "--concurrency", min=1, help="Jobs at a time.")] = 4,
    model: Annotated[str | None, typer.Option(help="Id of the model.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.")] = None,
    guide: Annotated[bool, typer.Option("--guide/--no-guide", help="CLIP guidance.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Measure how fast a running service makes pictures, with as many jobs at a time as you say.

    Latency runs from the request to the end of its job. Exit codes: 0 done, 1 error, 3 a job did not succeed.
    """
    from lodestar.cli.bench import measure
    from lodestar.cli.table import print_table

    given: dict[str, object] = {"prompt": prompt, "model": model, "steps": steps}
    given |= {"guidance": {} if guide else None}
    reassure(f"Sending {jobs} jobs to {url}, {concurrency} at a time ...")
    with connected(url) as client:
        report = measure(client, given, jobs=jobs, concurrency=concurrency)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
    else:
        print_table(("measure", "value"), report.rows())
    if report.succeeded < report.jobs:
        raise typer.Exit(Exit.JOB_FAILED)
