"""Commands about the adapters of the catalog, for the operator: they read files, and need no running service."""

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

commands = typer.Typer(name="adapters", help="Low-rank adapters (LoRA) of the catalog.")

INSPECT = (sys.executable, "-P", "-m", "worker.models.adapters.inspection")
Models = Annotated[
    Path, typer.Option("--models", envvar="LODESTAR_MODELS_FILE", help="The model catalog.", dir_okay=False)
]


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

    try:
        check_worker()
        chosen = _free_name(
            name or re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.") or "adapter", models
        )
        found = _inspected(file, models, model or [])
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
    _append(models, chosen, entry)
    say(f"{chosen}: {_summary(found)}")
    typer.echo(chosen)


def _free_name(name: str, models: Path) -> str:
    """A name that no adapter of the catalog has.

    Raises:
        ConfigurationError: one has it, or the catalog is wrong.
    """
    from jobs.catalog.catalog import load_catalog

    if any(card.id == name for card in load_catalog(models).adapters):
        raise ConfigurationError(f"{models} has an adapter {name!r} already; give another --name")
    return name


def _summary(found: dict[str, Any]) -> str:
    """``rank 8, 96 layers of the unet, for pocket``."""
    low, high = found["ranks"]
    layers = (f"{count} layers of the {part.replace('_', ' ')}" for part, count in found["layers"].items())
    rank = f"rank {low}" if low == high else f"ranks {low} to {high}"
    others = "".join(f"; not for {other}: {reason}" for other, reason in found["refusals"].items())
    return ", ".join([rank, *layers, f"for {' and '.join(found['models'])}"]) + others


def _inspected(file: Path, models: Path, wanted: list[str]) -> dict[str, Any]:
    """What a process with the worker's libraries says of a file.

    Raises:
        ConfigurationError: it is no adapter, or fits none of the models.
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


def _append(models: Path, name: str, fields: dict[str, Any]) -> None:
    """Write an entry at the end of the catalog, whose other lines stay as they are."""
    lines = [f"[adapters.{json.dumps(name)}]"]
    lines += [f"{key} = {_toml(value)}" for key, value in fields.items() if value not in ("", [], 1.0)]
    text = models.read_text(encoding="utf-8")
    models.write_text(f"{text.rstrip()}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: object) -> str:
    """A value as TOML writes it; its strings are those of JSON."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
