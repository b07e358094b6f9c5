"""The tables of ``models.toml``, before their entries are validated."""

import tomllib
from pathlib import Path
from typing import Any

from jobs.catalog.vocabulary import lines_of
from jobs.errors import ConfigurationError

_PATHS = ("path", "config", "delta", "head", "words", "encoder")


def read_tables(file: Path, text: str | None = None) -> dict[str, Any]:
    """The tables of a file, their entries with their names as ids, paths relative to its folder.

    Args:
        file: to be read.
        text: what it would hold, instead of what it holds.

    Raises:
        ConfigurationError: it is missing, or no TOML.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8") if text is None else text)
    except FileNotFoundError as error:
        raise ConfigurationError(f"the model catalog {file} does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"the model catalog {file} cannot be read: {error}") from error
    return {name: _entries(table, file.parent.absolute()) for name, table in tables.items()}


def _entries(table: Any, folder: Path) -> Any:
    """The entries of a table of tables, each with its name as its id. Validation refuses anything else."""
    if not isinstance(table, dict) or not all(isinstance(fields, dict) for fields in table.values()):
        return table
    entries = []
    for entry_id, fields in table.items():
        entry = {**fields, "id": entry_id}
        entry |= {name: folder / entry[name] for name in _PATHS if isinstance(entry.get(name), str)}
        if isinstance(entry.get("vocabulary"), str):
            entry["vocabulary"] = lines_of(folder / entry["vocabulary"])
        entries.append(entry)
    return entries


def entry_name(loc: tuple[int | str, ...], tables: dict[str, Any]) -> str:
    """``models.pocket.width: `` for the place ``("models", 0, "width")`` of an error."""
    names = [str(part) for part in loc]
    if len(loc) > 1 and isinstance(loc[1], int):
        names[1] = tables[names[0]][loc[1]]["id"]
    return ".".join(names) + ": " if names else ""
