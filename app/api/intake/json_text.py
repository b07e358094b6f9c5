"""JSON from outside: size limits that hold before the parsing, and errors in plain words."""

import json
import sys
from collections.abc import Iterator
from typing import Any

Place = tuple[str | int, ...]

MAX_DEPTH = 32
MAX_ITEMS = 1000
MAX_FIELDS = 2000
"""Of all objects together: each unknown name may become an error."""

# Megabytes of these take longest to parse, so they are counted first. Texts may hold them too.
_MAX_BRACKETS = 10_000
_MAX_COMMAS = 600_000
_MAX_COLONS = 100_000
_DEEP = b"[" * 1000
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class NotJsonError(Exception):
    """It cannot be parsed; the message follows the name of the text: ``is not valid JSON: ...``."""


class TooMuchError(Exception):
    """It exceeds the limits of any request."""

    def __init__(self, message: str, limit: int, place: Place = ()) -> None:
        super().__init__(message)
        self.message = message
        self.limit = limit
        self.place = place
        """The fields and numbers that lead to what is too much."""


def read_json(data: bytes) -> Any:
    """The value of a JSON text in UTF-8, UTF-16 or UTF-32.

    Raises:
        NotJsonError: it is none.
        TooMuchError: it has too many values, or as for ``require_modest``.
    """
    text = _decode(data)
    _require_few(data)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotJsonError(f"is not valid JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise NotJsonError("is nested too deep to be read") from error
    except ValueError as error:  # Python's guard against numbers that take long to read
        raise NotJsonError(
            f"holds a number of more than {sys.get_int_max_str_digits()} digits, which cannot be read"
        ) from error
    require_modest(value)
    return value


def require_modest(value: Any) -> None:
    """Refuse a value that is larger than any request needs.

    Raises:
        TooMuchError: it is nested too deep, or has too many fields, or too many items in one list.
    """
    fields = 0
    level: list[tuple[Place, Any]] = [((), value)]
    for _ in range(MAX_DEPTH):
        for place, container in level:
            fields = _counted(place, container, fields)
        level = [inner for place, container in level for inner in _inside(place, container)]
        if not level:
            return
    raise TooMuchError(f"it is nested more than {MAX_DEPTH} levels deep", MAX_DEPTH, level[0][0][:3])


def _counted(place: Place, container: Any, fields: int) -> int:
    """The number of fields so far, those of the next container included."""
    if isinstance(container, list) and len(container) > MAX_ITEMS:
        words = f"{len(container)} items are more than the {MAX_ITEMS} that a list may have"
        raise TooMuchError(words, MAX_ITEMS, place)
    if isinstance(container, dict):
        fields += len(container)
        if fields > MAX_FIELDS:
            words = f"{fields} fields are more than the {MAX_FIELDS} that a request may have"
            raise TooMuchError(words, MAX_FIELDS, place)
    return fields


def _inside(place: Place, container: Any) -> Iterator[tuple[Place, Any]]:
    """The lists and objects that are directly within another one, and where."""
    is_object = isinstance(container, dict)
    children = container.items() if is_object else enumerate(container if isinstance(container, list) else ())
    return (((*place, key), child) for key, child in children if isinstance(child, dict | list))


def _decode(data: bytes) -> str:
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
        raise NotJsonError(
            f"is not {name}: byte 0x{data[error.start]:02x} at position {error.start}"
        ) from error


def _require_few(data: bytes) -> None:
    if data.count(b"[") + data.count(b"{") > _MAX_BRACKETS:
        if _DEEP in data.translate(_TO_SQUARE, _ALL_BUT_BRACKETS):
            raise NotJsonError("is nested too deep to be read")
        raise TooMuchError(f"it has more than {_MAX_BRACKETS} lists and objects", _MAX_BRACKETS)
    if data.count(b":") > _MAX_COLONS:
        raise TooMuchError(f"it has more than {_MAX_COLONS} fields", _MAX_COLONS)
    if data.count(b",") > _MAX_COMMAS:
        raise TooMuchError(f"it has more than {_MAX_COMMAS} values", _MAX_COMMAS)
