"""Commands about the models of the catalog, for the operator; without a command, the models of the running service."""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.catalog_file import Models, append_all, rewritten
from jobs.errors import ConfigurationError
from lodestar.cli.commands.listings import list_models
from lodestar.cli.connection import DEFAULT_URL, AsJson, Url
from lodestar.cli.exits import Exit, say

commands = typer.Typer(name="models")

ADDITION = "worker.models.adding.addition"
CHECKING = "worker.models.adding.checking"
CATALOG = Path("models.toml")


def _names(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of the catalog's models and CLIPs, for completion."""
    tables = _tables(context)
    return [
        name for table in ("models", "clips") for name in tables.get(table, {}) if name.startswith(incomplete)
    ]


def _clips(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of the catalog's CLIPs."""
    return [name for name in _tables(context).get("clips", {}) if name.startswith(incomplete)]


def _tables(context: typer.Context) -> dict[str, Any]:
    file = context.params.get("models") or os.environ.get("LODESTAR_MODELS_FILE") or CATALOG
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


@commands.callback(invoke_without_command=True)
def models_of_the_service(context: typer.Context, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List the models that a job may name; or, with a command, change the catalog."""
    if context.invoked_subcommand is None:
        list_models(url, as_json)


@commands.command("list")
def list_(models: Models = CATALOG) -> None:
    """List the models and CLIPs of the catalog. Off a terminal: lines with tabs between the columns."""
    from jobs.catalog.catalog import load_catalog
    from lodestar.cli.table import print_table

    catalog = load_catalog(models)
    rows = [
        (
            card.id,
            str(card.family),
            f"{card.width}x{card.height}",
            _source(card),
            card.clip,
            ", ".join(card.aliases),
        )
        for card in catalog.models
    ]
    rows += [(card.id, "clip", "", _source(card), "", "") for card in catalog.clips]
    print_table(("name", "family", "size", "source", "guide", "aliases"), rows)


def _source(card: Any) -> str:
    return str(card.path) if card.path is not None else f"{card.hub}@{card.revision[:10]}"


Source = Annotated[
    str, typer.Argument(help="An id of the hub, also with @REVISION; a folder; or a .safetensors file.")
]
Name = Annotated[str | None, typer.Option(help="Id in the catalog; by default after the source.")]
Variant = Annotated[
    str | None, typer.Option(help="Which weights to fetch; by default fp16 for a device that computes so.")
]
Config = Annotated[
    Path | None,
    typer.Option(help="For one file: a diffusers folder that describes it.", exists=True, file_okay=False),
]
Clip = Annotated[
    str | None,
    typer.Option(help="What guides it: a CLIP of the catalog, or a source.", autocompletion=_clips),
]
TextClip = Annotated[
    bool, typer.Option(help="Have the CLIP of its text encoder too, which personalization needs.")
]


@commands.command()
def add(
    source: Source,
    name: Name = None,
    variant: Variant = None,
    config: Config = None,
    clip: Clip = None,
    text_clip: TextClip = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be fetched, and stop.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
    models: Models = CATALOG,
) -> None:
    """Fetch a model, check it, and write its entry into the catalog. Once interrupted, it goes on from there.

    Weights are fetched once it is known that they are served and fit on the disk. A CLIP is added likewise.
    """
    from app.stack.preflight import check_worker

    arguments = [source, "--models-file", str(models)]
    for option, value in {"name": name, "variant": variant, "config": config, "clip": clip}.items():
        arguments += [f"--{option}", str(value)] if value is not None else []
    arguments += ["--no-text-clip"] * (not text_clip) + ["--dry-run"] * dry_run
    try:
        check_worker()
        _require_folder(models)
        entries = _followed(ADDITION, arguments, quiet)["entries"]
        if dry_run:
            return
        append_all(models, [(table, each, _relative(fields, models)) for table, each, fields in entries])
    except ConfigurationError as error:
        say(f"lodestar: {error.message}")
        raise typer.Exit(Exit.CONFIGURATION) from error
    except KeyboardInterrupt as error:
        say("lodestar: interrupted; the same command goes on from there")
        raise typer.Exit(Exit.INTERRUPTED) from error
    typer.echo(entries[-1][1])


@commands.command()
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="All models and CLIPs if left out.", autocompletion=_names),
    ] = None,
    models: Models = CATALOG,
) -> None:
    """Check models: files, digests, whether they are served, memory. Exit code 1 if something is wrong.

    Off a terminal: lines with tabs between the columns. It fetches nothing.
    """
    from app.stack.preflight import check_worker
    from lodestar.cli.table import print_table

    try:
        check_worker()
        found = _followed(CHECKING, ["--models-file", str(models), *(names or ())], True)["entries"]
    except ConfigurationError as error:
        say(f"lodestar: {error.message}")
        raise typer.Exit(Exit.CONFIGURATION) from error
    print_table(
        ("name", "", "detail"),
        [(each["name"], "ok" if each["ok"] else "wrong", each["detail"]) for each in found],
    )
    raise typer.Exit(Exit.DONE if all(each["ok"] for each in found) else Exit.ERROR)


@commands.command()
def remove(
    name: Annotated[str, typer.Argument(help="A model or a CLIP of the catalog.", autocompletion=_names)],
    files: Annotated[
        bool, typer.Option("--files", help="Remove its files too, unless another entry has them.")
    ] = False,
    models: Models = CATALOG,
) -> None:
    """Remove an entry of the catalog, unless another one names it. Jobs that wait for it will fail, and say so."""
    from app.cli.removal import remove_files, removed

    try:
        with rewritten(models) as (text, write):
            entry = removed(text, name, models)
            write(entry.text)
        say(f"removed {entry.table}.{entry.card.id} from {models}")
        for sentence in remove_files(entry) if files else ():
            say(sentence)
    except ConfigurationError as error:
        say(f"lodestar: {error.message}")
        raise typer.Exit(Exit.CONFIGURATION) from error


def _followed(module: str, arguments: list[str], quiet: bool) -> dict[str, Any]:
    from app.cli.worker_process import followed

    return followed(module, arguments, quiet=quiet)


def _require_folder(models: Path) -> None:
    """Refuse a catalog that could not be written, before gigabytes are fetched."""
    place = models.resolve()
    if not place.parent.is_dir() or not os.access(place if place.exists() else place.parent, os.W_OK):
        raise ConfigurationError(f"the model catalog {models} cannot be written")


def _relative(fields: dict[str, Any], models: Path) -> dict[str, Any]:
    """Fields whose paths are as the catalog's file has them."""
    folder = models.absolute().parent
    paths = {key: os.path.relpath(fields[key], folder) for key in ("path", "config") if fields.get(key)}
    return {**fields, **paths}
