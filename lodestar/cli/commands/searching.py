"""The command that finds pictures. It imports what it needs, so that the others answer at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lodestar.cli.connection import DEFAULT_URL, AsJson, Url, connected

if TYPE_CHECKING:
    from jobs.status.hits import Hit
    from lodestar.client import Client

commands = typer.Typer()


@commands.command()
def search(
    text: Annotated[str | None, typer.Argument(help="Description of the pictures.")] = None,
    picture: Annotated[
        str | None,
        typer.Option(help="Find what is like this file, or like the picture JOB_ID/INDEX of a job."),
    ] = None,
    limit: Annotated[
        int, typer.Option("-n", "--limit", min=1, max=200, help="Pictures at most, nearest first.")
    ] = 20,
    aesthetic_score: Annotated[
        int | None, typer.Option(min=0, max=9, help="Prefer pictures that people would rate so.")
    ] = None,
    aesthetic_weight: Annotated[
        float | None, typer.Option(min=0, max=10, help="How far the rating moves the query.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder to write the pictures to.", exists=True, file_okay=False),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Search the kept pictures by a text or by another picture; with -o, prints the paths written."""
    from lodestar.cli.table import print_table

    if (text is None) == (picture is None):
        raise typer.BadParameter("give either a text or --picture")
    if aesthetic_weight is not None and aesthetic_score is None:
        raise typer.BadParameter("--aesthetic-weight needs --aesthetic-score")
    with connected(url) as client:
        moved: dict[str, Any] = {"aesthetic_score": aesthetic_score, "aesthetic_weight": aesthetic_weight}
        found = client.search(text, picture=picture, limit=limit, **moved)
        paths = [] if output is None else [_save(client, hit, output) for hit in found.data]
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    elif output is not None:
        typer.echo("".join(f"{path}\n" for path in paths), nl=False)
    else:
        print_table(("picture", "similarity", "aesthetic", "prompt"), [_row(hit) for hit in found.data])


def _row(hit: "Hit") -> tuple[str, str, str, str]:
    score = hit.image.aesthetic_score
    return (
        f"{hit.job_id}/{hit.image.index}",
        f"{hit.similarity:.4f}",
        "" if score is None else f"{score:.2f}",
        hit.prompt,
    )


def _save(client: "Client", hit: "Hit", folder: Path) -> Path:
    from lodestar.picture import write_file

    path = folder / f"{hit.job_id}-{hit.image.index}.png"
    write_file(path, client.jobs.image(hit.job_id, hit.image.index))
    return path
