"""Commands about the image prompt adapters of the catalog, for the operator: they read files, and need no service."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.catalog_file import Models, append, inspected, name_after, others, require_free
from jobs.errors import ConfigurationError
from lodestar.cli.exits import Exit, say

commands = typer.Typer(name="image-prompts", help="Adapters for image prompts (IP-Adapter) of the catalog.")

INSPECTION = "worker.models.image_prompts.inspection"
Encoder = Annotated[
    Path | None,
    typer.Option(
        help="What encodes pictures: a folder of a CLIPVisionModelWithProjection.",
        exists=True,
        file_okay=False,
    ),
]


@commands.command("list")
def list_(models: Models = Path("models.toml")) -> None:
    """List the image prompt adapters of the catalog. Off a terminal: lines with tabs between the columns."""
    from jobs.catalog.catalog import load_catalog
    from lodestar.cli.table import print_table

    print_table(
        ("adapter", "models", "encoder", "licence", "file"),
        [
            (
                card.id,
                ", ".join(card.base) or "any",
                card.clip or str(card.encoder),
                card.licence,
                str(card.path),
            )
            for card in load_catalog(models).image_prompts
        ],
    )


@commands.command()
def add(
    file: Annotated[
        Path, typer.Argument(help="A .safetensors file of an IP-Adapter.", exists=True, dir_okay=False)
    ],
    encoder: Encoder = None,
    clip: Annotated[str | None, typer.Option(help="Instead of --encoder: the id of a CLIP.")] = None,
    name: Annotated[str | None, typer.Option(help="Id in the catalog; by default after the file.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model that it is made for; by default all that it fits.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of its weights.")] = None,
    weight: Annotated[float, typer.Option(min=0, max=2, help="Weight of requests that give none.")] = 1.0,
    models: Models = Path("models.toml"),
) -> None:
    """Check an IP-Adapter against the models of the catalog, and write its entry there. All files stay in place."""
    from app.stack.preflight import check_worker
    from jobs.catalog.catalog import load_catalog

    if (encoder is None) == (clip is None):
        raise typer.BadParameter("give either --encoder or --clip")
    chosen = name or name_after(file, "image-prompts")
    reads = ["--clip", clip] if clip is not None else ["--encoder", str(encoder)]
    try:
        check_worker()
        require_free(chosen, load_catalog(models).image_prompts, models)
        found = inspected(INSPECTION, [str(file), *reads], models, model or [])
    except ConfigurationError as error:
        say(f"lodestar: {error.message}")
        raise typer.Exit(Exit.CONFIGURATION) from error
    entry: dict[str, Any] = {
        "path": _relative(file, models),
        "encoder": _relative(encoder, models),
        "clip": clip,
    }
    entry |= {"base": found["fit"]["models"], "licence": licence, "weight": weight, "sha256": found["sha256"]}
    append(models, "image_prompts", chosen, entry)
    say(f"{chosen}: {_summary(found)}")
    typer.echo(chosen)


def _relative(place: Path | None, models: Path) -> str | None:
    """A path as the catalog's file has it."""
    return None if place is None else os.path.relpath(place.absolute(), models.absolute().parent)


def _summary(found: dict[str, Any]) -> str:
    """``base, 4 tokens for a picture, 16 attentions, for sd15``."""
    parts = [
        found["kind"],
        f"{found['tokens']} tokens for a picture",
        f"{found['attentions']} attentions",
        f"for {' and '.join(found['fit']['models'])}",
    ]
    return ", ".join(parts) + others(found["fit"]["refusals"])
