"""Commands about the adapters of the catalog, for the operator: they read files, and need no running service."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.catalog_file import Models, append, inspected, name_after, others, require_free
from jobs.errors import ConfigurationError
from lodestar.cli.exits import Exit, say

commands = typer.Typer(name="adapters", help="Low-rank adapters (LoRA) of the catalog.")

INSPECTION = "worker.models.adapters.inspection"


@commands.command("list")
def list_(models: Models = Path("models.toml")) -> None:
    """List the adapters of the catalog. Off a terminal: lines with tabs between the columns."""
    from jobs.catalog.catalog import load_catalog
    from lodestar.cli.table import print_table

    print_table(
        ("adapter", "models", "triggers", "licence", "file"),
        [
            (card.id, ", ".join(card.base) or "any", ", ".join(card.triggers), card.licence, str(card.path))
            for card in load_catalog(models).adapters
        ],
    )


@commands.command()
def add(
    file: Annotated[
        Path, typer.Argument(help="A .safetensors file, or a folder of diffusers or PEFT.", exists=True)
    ],
    name: Annotated[str | None, typer.Option(help="Id in the catalog; by default after the file.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model that it is made for; by default all that it fits.")
    ] = None,
    trigger: Annotated[
        list[str] | None, typer.Option(help="A word for prompts; by default those that the file names.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of its weights; by default as the file says.")] = None,
    weight: Annotated[float, typer.Option(min=-4, max=4, help="Weight of requests that give none.")] = 1.0,
    models: Models = Path("models.toml"),
) -> None:
    """Check an adapter against the models of the catalog, and write its entry there. The file stays where it is."""
    from app.stack.preflight import check_worker
    from jobs.catalog.catalog import load_catalog

    chosen = name or name_after(file, "adapter")
    try:
        check_worker()
        require_free(chosen, load_catalog(models).adapters, "adapter", models)
        found = inspected(INSPECTION, [str(file)], models, model or [])
    except ConfigurationError as error:
        say(f"lodestar: {error.message}")
        raise typer.Exit(Exit.CONFIGURATION) from error
    said = found["description"]
    entry: dict[str, Any] = {
        "description": said["title"],
        "path": os.path.relpath(file.absolute(), models.absolute().parent),
    }
    entry |= {"base": found["models"], "triggers": trigger or said["triggers"]}
    entry |= {"licence": licence or said["licence"], "weight": weight, "sha256": found["sha256"]}
    append(models, "adapters", chosen, entry)
    say(f"{chosen}: {_summary(found)}")
    typer.echo(chosen)


def _summary(found: dict[str, Any]) -> str:
    """``rank 8, 96 layers of the unet, for pocket``."""
    low, high = found["ranks"]
    layers = (f"{count} layers of the {part.replace('_', ' ')}" for part, count in found["layers"].items())
    rank = f"rank {low}" if low == high else f"ranks {low} to {high}"
    return ", ".join([rank, *layers, f"for {' and '.join(found['models'])}"]) + others(found["refusals"])
