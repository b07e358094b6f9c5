"""Commands about the adapters and textual inversions of the catalog, for the operator.

They read files, and need no running service.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.errors import ConfigurationError
from lodestar.cli.exits import Exit, say

commands = typer.Typer(name="adapters", help="Adapters (LoRA) and textual inversions of the catalog.")

INSPECT = (sys.executable, "-P", "-m", "worker.models.adapters.inspection")
INVERSION = "textual inversion"
LEFT_OUT: tuple[object, ...] = ("", [], 1.0, "lora")  # values that the catalog's entries have by themselves
Models = Annotated[
    Path, typer.Option("--models", envvar="LODESTAR_MODELS_FILE", help="The model catalog.", dir_okay=False)
]


@commands.command("list")
def list_(models: Models = Path("models.toml")) -> None:
    """List the adapters and textual inversions. Off a terminal: lines with tabs between the columns."""
    from jobs.catalog.adapters import AdapterCard
    from jobs.catalog.catalog import load_catalog
    from jobs.catalog.textual_inversions import TextualInversionCard
    from lodestar.cli.table import print_table

    catalog = load_catalog(models)
    entries: list[tuple[AdapterCard | TextualInversionCard, str, tuple[str, ...]]]
    entries = [(card, card.kind, card.triggers) for card in catalog.adapters]
    entries += [(card, INVERSION, (card.word,)) for card in catalog.textual_inversions]
    print_table(
        ("name", "kind", "models", "words", "licence", "file"),
        [
            (card.id, kind, ", ".join(card.base) or "any", ", ".join(words), card.licence, str(card.path))
            for card, kind, words in entries
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

    try:
        check_worker()
        chosen = _free_name(
            name or re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.") or "adapter", models
        )
        found = _inspected(file, models, model or [])
        table, entry = _entry(found, trigger or [], weight)
        path = os.path.relpath(file.absolute(), models.absolute().parent)
        entry |= {"path": path, "base": found["fit"]["models"], "sha256": found["sha256"]}
        _append(models, table, chosen, entry | ({"licence": licence} if licence else {}))
    except ConfigurationError as error:
        say(f"lodestar: {error.message}")
        raise typer.Exit(Exit.CONFIGURATION) from error
    say(f"{chosen}: {_summary(found)}")
    typer.echo(chosen)


def _free_name(name: str, models: Path) -> str:
    """A name that no adapter and no textual inversion of the catalog has.

    Raises:
        ConfigurationError: one has it, or the catalog is wrong.
    """
    from jobs.catalog.catalog import load_catalog

    catalog = load_catalog(models)
    if any(card.id == name for card in (*catalog.adapters, *catalog.textual_inversions)):
        raise ConfigurationError(f"{models} has an entry {name!r} already; give another --name")
    return name


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
    others = "".join(f"; not for {other}: {reason}" for other, reason in fit["refusals"].items())
    models = f"for {' and '.join(fit['models'])}{others}"
    if found["kind"] == INVERSION:
        return f"a textual inversion of {found['vectors']} vectors, {models}"
    low, high = found["ranks"]
    layers = (f"{count} layers of the {part.replace('_', ' ')}" for part, count in found["layers"].items())
    rank = f"rank {low}" if low == high else f"ranks {low} to {high}"
    return ", ".join([rank, *layers, models])


def _inspected(file: Path, models: Path, wanted: list[str]) -> dict[str, Any]:
    """What a process with the worker's libraries says of a file.

    Raises:
        ConfigurationError: it is neither an adapter nor a textual inversion, or fits none of the models.
    """
    options = [option for each in wanted for option in ("--model", each)]
    ended = subprocess.run(
        [*INSPECT, str(file), "--models-file", str(models), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise ConfigurationError(
            ended.stderr.strip().splitlines()[-1] if ended.stderr.strip() else "it ended early"
        )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def _append(models: Path, table: str, name: str, fields: dict[str, Any]) -> None:
    """Write an entry at the end of the catalog, whose other lines stay as they are.

    Raises:
        ConfigurationError: the catalog would be wrong with it.
    """
    from jobs.catalog.catalog import load_catalog

    lines = [f"[{table}.{json.dumps(name)}]"]
    lines += [f"{key} = {_toml(value)}" for key, value in fields.items() if value not in LEFT_OUT]
    text = models.read_text(encoding="utf-8")
    models.write_text(f"{text.rstrip()}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    try:
        load_catalog(models)
    except ConfigurationError:
        models.write_text(text, encoding="utf-8")
        raise


def _toml(value: object) -> str:
    """A value as TOML writes it; its strings are those of JSON."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
