"""Commands about aesthetic embeddings. Each imports what it needs, so that the others answer at once."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodestar.cli.connection import DEFAULT_URL, AsJson, Url, connected
from lodestar.cli.exits import end_as
from lodestar.cli.finishing import Quiet, Wait, wait_for_end

if TYPE_CHECKING:
    from jobs.requests.embeddings import EmbeddingInfo
    from jobs.status.job import Job
    from lodestar.client import Client

commands = typer.Typer(name="embeddings", help="Aesthetic embeddings that a request may name.")

Name = Annotated[str, typer.Argument(help="Name of the embedding.")]
Clip = Annotated[
    str | None, typer.Option(help="Id of its CLIP; by default that of the first model's text encoder.")
]
JobAsJson = Annotated[bool, typer.Option("--json", help="Print the job as JSON instead of the name.")]


@commands.command("list")
def list_(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the embeddings, by name. Off a terminal: lines with tabs between name, CLIP and origin."""
    from lodestar.cli.table import print_table

    with connected(url) as client:
        found = client.embeddings.list()
    if as_json:
        typer.echo(json.dumps([info.model_dump(mode="json") for info in found], indent=2))
    else:
        print_table(
            ("embedding", "clip", "made from"), [(info.name, info.clip, _origin(info)) for info in found]
        )


@commands.command()
def show(name: Name, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show the description of an embedding."""
    from lodestar.cli.table import print_table

    with connected(url) as client:
        info = client.embeddings.get(name)
    if as_json:
        typer.echo(info.model_dump_json(indent=2))
        return
    print_table(
        ("field", "value"),
        [
            ("name", info.name),
            ("clip", info.clip),
            ("made from", _origin(info)),
            ("digest", info.digest),
        ],
    )


@commands.command()
def make(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE...", help="Files, ids of jobs for all of their pictures, or JOB_ID/INDEX."
        ),
    ],
    name: Annotated[str, typer.Option(help="A new name.")],
    minus: Annotated[
        list[str] | None,
        typer.Option(metavar="PICTURE", help="Picture to take off, named likewise; may be given again."),
    ] = None,
    clip: Clip = None,
    normalize: Annotated[
        bool, typer.Option("--normalize/--no-normalize", help="Let every picture count the same.")
    ] = True,
    url: Url = DEFAULT_URL,
    wait: Wait = None,
    as_json: JobAsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make an embedding from pictures; prints its name. Exit codes as for generate."""
    with connected(url) as client:
        job = client.embeddings.make(name, pictures, minus=minus or (), clip=clip, normalize=normalize)
        _finish(client, job, name, wait, as_json=as_json, quiet=quiet)


@commands.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="A .pt, .npy or .safetensors file with one vector.", dir_okay=False)
    ],
    name: Annotated[str | None, typer.Option(help="A new name; by default the file's.")] = None,
    clip: Clip = None,
    url: Url = DEFAULT_URL,
    wait: Wait = None,
    as_json: JobAsJson = False,
    quiet: Quiet = False,
) -> None:
    """Import a published embedding; prints its name. Exit codes as for generate."""
    name = file.stem if name is None else name
    with connected(url) as client:
        job = client.embeddings.import_(name, file, clip=clip)
        _finish(client, job, name, wait, as_json=as_json, quiet=quiet)


@commands.command()
def export(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; by default named after it.", dir_okay=False),
    ] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Write an embedding as a safetensors file, which can be imported again; prints the path."""
    from lodestar.picture import write_file

    path = output or Path(f"{name}.safetensors")
    with connected(url) as client:
        write_file(path, client.embeddings.export(name))
    typer.echo(path)


@commands.command()
def delete(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of the embeddings.")],
    url: Url = DEFAULT_URL,
) -> None:
    """Delete embeddings; jobs that wait with them will fail."""
    with connected(url) as client:
        for name in names:
            client.embeddings.delete(name)
            typer.echo("deleted")


def _finish(
    client: "Client", job: "Job", name: str, wait: float | None, *, as_json: bool, quiet: bool
) -> None:
    from jobs.status.job import JobStatus

    job = wait_for_end(client, job.id, wait, as_json=as_json, quiet=quiet)
    if as_json:
        typer.echo(job.model_dump_json(indent=2))
    elif job.status is JobStatus.SUCCEEDED:
        typer.echo(name)
    end_as(job)


def _origin(info: "EmbeddingInfo") -> str:
    if info.pictures is None:
        return info.made_from
    counted = f"{info.pictures} picture{'' if info.pictures == 1 else 's'}"
    return f"{counted} minus {info.minus}" if info.minus else counted
