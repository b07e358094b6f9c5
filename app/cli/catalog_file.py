"""Adds entries to the catalog's file, of files that a process with the worker's libraries has inspected."""

import fcntl
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.errors import ConfigurationError
from jobs.storage.files import write_whole

if TYPE_CHECKING:
    from jobs.catalog.entry import Named

LEFT_OUT: tuple[object, ...] = ("", [], None, 1.0, "lora")  # values that entries have by themselves
Models = Annotated[
    Path, typer.Option("--models", envvar="LODESTAR_MODELS_FILE", help="The model catalog.", dir_okay=False)
]


def name_after(file: Path, otherwise: str) -> str:
    """An id made of a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.") or otherwise


def require_free(name: str, cards: "Iterable[Named]", models: Path) -> None:
    """Refuse a name that an entry of a kind has.

    Args:
        name: of the new entry.
        cards: those of the kind.
        models: the catalog's file.

    Raises:
        ConfigurationError: one has it.
    """
    if any(card.id == name for card in cards):
        raise ConfigurationError(f"{models} has an entry {name!r} already; give another --name")


def inspected(module: str, arguments: Sequence[str], models: Path, wanted: Iterable[str]) -> dict[str, Any]:
    """What a module of the worker says of files.

    Args:
        module: to be run; its result is JSON.
        arguments: of it.
        models: the catalog's file.
        wanted: ids of the models that the files are tried with; all if there are none.

    Raises:
        ConfigurationError: they are of another kind, or fit none of the models.
    """
    options = [option for each in wanted for option in ("--model", each)]
    ended = subprocess.run(
        [sys.executable, "-P", "-m", module, *arguments, "--models-file", str(models), *options],
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


def append(models: Path, table: str, name: str, fields: dict[str, Any]) -> None:
    """Write an entry at the end of the catalog, whose other lines stay as they are.

    Args:
        models: the catalog's file.
        table: of the entry.
        name: its id.
        fields: its fields; those with values that an entry has by itself are left out.

    Raises:
        ConfigurationError: the catalog would be wrong with it.
    """
    append_all(
        models, [(table, name, {key: value for key, value in fields.items() if value not in LEFT_OUT})]
    )


def append_all(models: Path, entries: Sequence[tuple[str, str, dict[str, Any]]]) -> None:
    """Write entries at the end of the catalog, all or none of them.

    Args:
        models: the catalog's file; written anew if there is none.
        entries: table, id and fields of each; empty fields are left out.

    Raises:
        ConfigurationError: the catalog would be wrong with them, or cannot be written.
    """
    lines: list[str] = []
    for table, name, fields in entries:
        lines += ["", f"[{table}.{_key(name)}]"]
        lines += [
            f"{key} = {_toml(value)}" for key, value in fields.items() if value not in ("", [], {}, None)
        ]
    with rewritten(models) as (text, write):
        write(f"{text.rstrip()}\n" + "\n".join(lines) + "\n" if text.strip() else "\n".join(lines[1:]) + "\n")


@contextmanager
def rewritten(models: Path) -> Iterator[tuple[str, Callable[[str], None]]]:
    """The text of the catalog, which nobody else changes meanwhile, and what replaces it: at once, and if it is right.

    Raises:
        ConfigurationError: the catalog cannot be read or written, or would be wrong.
    """
    from jobs.catalog.catalog import load_catalog

    file = models.resolve()  # a link stays one

    def write(text: str) -> None:
        load_catalog(models, text)
        mode = file.stat().st_mode if file.exists() else None
        write_whole(file, text.encode())
        if mode is not None:
            file.chmod(stat.S_IMODE(mode))

    try:
        with _alone_in(file.parent):
            yield file.read_text(encoding="utf-8") if file.exists() else "", write
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the model catalog {models} cannot be changed: {error}") from error


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def others(refusals: dict[str, str]) -> str:
    """Why files do not fit some models, by the ids of these."""
    return "".join(f"; not for {other}: {reason}" for other, reason in refusals.items())


def _toml(value: object) -> str:
    """A value as TOML writes it; its strings are those of JSON."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    """A name as a key, in quotes where TOML wants them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
