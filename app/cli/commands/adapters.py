"""Commands about the adapters and textual inversions of the catalog, for the operator.

They read files, and need no running service.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.catalog_file import Models, append, inspected, name_after, others, require_free
from jobs.errors import ConfigurationError
from lodestar.cli.exits import Exit, say

commands = typer.Typer(name="adapters", help="Adapters (LoRA) and textual inversions of the catalog.")

INSPECTION = "worker.models.adapters.inspection"
INVERSION = "textual inversion"


@commands.command("list")
def list_(models: Models = Path("models.toml")) -> None:
    """List the adapters and textual inversions. Off a terminal: lines with tabs between the columns."""
    from jobs.catalog.adapters import AdapterCard
    from jobs.catalog.catalog import load_catalog
    from jobs.catalog.textual_inversions import TextualInversionCard
    from lodestar.cli.table import print_table

    catalog = load_catalog(models)
    entries: list[tuple[AdapterCard | TextualInversionCard, str, tuple[str, ...], str]]
    entries = [(card, card.kind, card.triggers, card.source) for card in catalog.adapters]
    entries += [(card, INVERSION, (card.word,), str(card.path)) for card in catalog.textual_inversions]
    print_table(
        ("name", "kind", "models", "words", "licence", "file"),
        [
            (card.id, kind, ", ".join(card.base) or "any", ", ".join(words), card.licence, source)
            for card, kind, words, source in entries
        ],
    )


@commands.command()
def add(
    file: Annotated[Path, typer.Argument(help="A file, or a folder of diffusers or PEFT.", exists=True)],
    name: Annotated[str | None, typer.Option(help="Id in the catalog; by default after the file.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model that it is made for; by default all that it fits.")
    ] = None,
    trigger: Annotated[
        list[str] | None, typer.Option(help="A word for prompts; by default as the file says.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of its weights; by default as the file says.")] = None,
    weight: Annotated[
        float, typer.Option(min=-4, max=4, help="Of an adapter in requests that give none.")
    ] = 1.0,
    models: Models = Path("models.toml"),
) -> None:
    """Check an adapter or textual inversion against the models of the catalog, and write its entry there.

    The file stays where it is.
    """
    from app.stack.preflight import check_worker
    from jobs.catalog.catalog import load_catalog

    chosen = name or name_after(file, "adapter")
    try:
        check_worker()
        catalog = load_catalog(models)
        require_free(chosen, (*catalog.adapters, *catalog.textual_inversions), models)
        found = inspected(INSPECTION, [str(file)], models, model or [])
        table, entry = _entry(found, trigger or [], weight)
        path = os.path.relpath(file.absolute(), models.absolute().parent)
        entry |= {"path": path, "base": found["fit"]["models"], "sha256": found["sha256"]}
        append(models, table, chosen, entry | ({"licence": licence} if licence else {}))
    except ConfigurationError as error:
        say(f"lodestar: {error.message}")
        raise typer.Exit(Exit.CONFIGURATION) from error
    say(f"{chosen}: {_summary(found)}")
    typer.echo(chosen)


def _entry(found: dict[str, Any], words: list[str], weight: float) -> tuple[str, dict[str, Any]]:
    """The table of the catalog for what was inspected, and the fields that depend on its kind.

    Raises:
        ConfigurationError: a textual inversion is to have several words, or a weight.
    """
    if found["kind"] != INVERSION:
        said = found["description"]
        fields = {
            "description": said["title"],
            "triggers": words or said["triggers"],
            "licence": said["licence"],
        }
        return "adapters", fields | {"weight": weight, "kind": found["kind"]}
    if len(words) > 1 or weight != 1:
        raise ConfigurationError("a textual inversion has one word and no weight")
    return "textual_inversions", {"word": words[0] if words else found["word"]}


def _summary(found: dict[str, Any]) -> str:
    """``rank 8, 96 layers of the unet, for pocket``, or ``a textual inversion of 2 vectors, for pocket``."""
    fit = found["fit"]
    models = f"for {' and '.join(fit['models'])}{others(fit['refusals'])}"
    if found["kind"] == INVERSION:
        return f"a textual inversion of {found['vectors']} vectors, {models}"
    low, high = found["ranks"]
    layers = (f"{count} layers of the {part.replace('_', ' ')}" for part, count in found["layers"].items())
    rank = f"rank {low}" if low == high else f"ranks {low} to {high}"
    return ", ".join([rank, *layers, models])
