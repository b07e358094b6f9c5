"""Reads what a checkpoint's folder says of itself, before any weight is read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.errors import ModelUnavailableError
from worker.models.families.family import Family
from worker.models.families.table import family_of
from worker.models.loading.layout import INDEX


def read_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file of a checkpoint.

    Raises:
        ModelUnavailableError: there is no such file, or it holds something else.
    """
    name = file.name if file.name == INDEX else f"{file.parent.name}/{file.name}"
    if not file.is_file():
        raise ModelUnavailableError(f"there is no {name}")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelUnavailableError(f"{name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelUnavailableError(f"{name} holds no object")
    return content


def family_in(folder: Path) -> Family:
    """The family that serves the checkpoint of a folder.

    Raises:
        ModelUnavailableError: it has no ``model_index.json``, or no family serves it.
    """
    config = folder / "config.json"
    if not (folder / INDEX).is_file() and config.is_file():
        kind = read_object(config).get("_class_name")
        raise ModelUnavailableError(f"there is no {INDEX}, and it is a {kind} alone")
    return family_of(read_object(folder / INDEX).get("_class_name"))


def names_in(folder: Path) -> Iterator[str]:
    """Names of the files in a folder and in the folders in it."""
    for pattern in ("*", "*/*"):
        for file in folder.glob(pattern):
            if file.is_file():
                yield file.relative_to(folder).as_posix()
