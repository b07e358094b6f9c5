"""Entries in the text of ``models.toml``: where one begins and ends, so that it can go and all else stays."""

import re
import tomllib
from pathlib import Path
from typing import Any

from jobs.errors import ConfigurationError

_HEADER = re.compile(r"\s*\[(?!\[)(?P<key>.+?)\]\s*(#.*)?")


def without_entry(text: str, table: str, name: str, models: Path) -> str:
    """The text without an entry, its own tables and the comment right above it.

    Comments that stand before the next entry stay.

    Raises:
        ConfigurationError: it is written in a form in which it does not stand by itself.
    """
    lines = text.splitlines(keepends=True)
    headers = {number: path for number, line in enumerate(lines) if (path := _path_of(line)) is not None}
    kept = list(lines)
    for begin in reversed(headers):
        if headers[begin][:2] == (table, name):
            later = [number for number in headers if number > begin]
            del kept[_above(lines, begin) : _end(lines, begin, min(later, default=len(lines)))]
    result = "".join(kept).rstrip() + "\n" if kept else ""
    if _parsed(result) != _without(_parsed(text), table, name):
        raise ConfigurationError(f"{table}.{name} does not stand by itself in {models}: remove it by hand")
    return result


def _path_of(line: str) -> tuple[str, ...] | None:
    """The path of a table whose header a line seems to be."""
    found = _HEADER.fullmatch(line.rstrip("\r\n"))
    try:
        table: Any = tomllib.loads(f"[{found['key']}]") if found else None
    except tomllib.TOMLDecodeError:
        return None
    path = []
    while isinstance(table, dict) and table:
        ((key, table),) = table.items()
        path.append(key)
    return tuple(path) or None


def _above(lines: list[str], begin: int) -> int:
    """Where the comment right above a header begins."""
    while begin and lines[begin - 1].startswith("#"):
        begin -= 1
    return begin


def _end(lines: list[str], begin: int, limit: int) -> int:
    """Where an entry ends: after its last field, and the empty lines behind it."""
    end = limit
    while end > begin + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    while end < limit and not lines[end].strip():
        end += 1
    return end


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _without(tables: dict[str, Any] | None, table: str, name: str) -> dict[str, Any] | None:
    if tables is None:
        return None
    rest = {key: value for key, value in tables[table].items() if key != name}
    return {key: (rest if key == table else value) for key, value in tables.items() if key != table or rest}
