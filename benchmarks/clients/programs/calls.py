"""Makes the calls of one client in turn, and writes down what came of each.

The programs beside this one import it in environments that have one client each, so it needs the standard library
alone. They find the service in ``SERVICE_URL``, a key of their own in ``SERVICE_KEY``, the pictures ``table.png``,
``pear.png`` and ``mask.png`` in the working folder, and write to the file ``RESULTS``.
"""

import asyncio
import base64
import inspect
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import Request, urlopen

URL = os.environ.get("SERVICE_URL", "")
KEY = os.environ.get("SERVICE_KEY", "")
PROMPT = "a red apple on a light blue background"
_PNG = b"\x89PNG\r\n\x1a\n"
_KINDS = {b"\xff\xd8\xff": "jpeg", b"RIFF": "webp", _PNG: "png"}

Call = Callable[[], object]
Error = TypeVar("Error", bound=Exception)


def call(name: str) -> Callable[[Call], Call]:
    """Make a call now; the function does it and asserts what its user would see."""

    def make(function: Call) -> Call:
        try:
            _run(function)
        except Exception as error:
            _write(name, "fails", why=_said(error))
        else:
            _write(name, "works")
        return function

    return make


def refused(name: str, *, page: str, says: str) -> Callable[[Call], Call]:
    """Make a call of a feature that the service lacks: the client's error must have the service's own words.

    Args:
        name: of the call.
        page: in ``docs/``, with the heading that says so.
        says: a part of the error.
    """

    def make(function: Call) -> Call:
        try:
            _run(function)
        except Exception as error:
            if says in _said(error):
                _write(name, "not served", why=says, page=page)
            else:
                _write(name, "fails", why=f"says {_said(error)!r} instead of {says!r}")
        else:
            _write(name, "fails", why=f"works, though {page} says that it is not served")
        return function

    return make


def raised(wanted: type[Error], attempt: Call) -> Error:
    """The error of an attempt, which must be of this class."""
    try:
        attempt()
    except wanted as error:
        return error
    raise AssertionError(f"no {wanted.__name__}")


def fetched(address: str) -> bytes:
    """The file at an address of the service, which needs the key."""
    with urlopen(Request(address, headers={"Authorization": f"Bearer {KEY}"}), timeout=60) as answer:
        data: bytes = answer.read()
    return data


def kind(picture: bytes | str) -> str:
    """``png``, ``jpeg`` or ``webp``: the kind of a picture, which may be in base64 or in a ``data:`` address."""
    data = _bytes(picture)
    for start, name in _KINDS.items():
        if data.startswith(start):
            return name
    raise AssertionError(f"this is no picture: {data[:40]!r}")


def size(picture: bytes | str) -> tuple[int, int]:
    """Width and height of a PNG in pixels."""
    assert kind(picture) == "png"
    width, height = struct.unpack(">II", _bytes(picture)[16:24])
    return width, height


def _bytes(picture: bytes | str) -> bytes:
    return picture if isinstance(picture, bytes) else base64.b64decode(picture.rpartition(",")[2])


def _run(function: Call) -> None:
    result = function()
    if inspect.iscoroutine(result):
        asyncio.run(result)


def _said(error: BaseException) -> str:
    lines = f"{type(error).__name__}: {error}".splitlines()
    return " ".join(line.strip() for line in lines if line.strip())


def _write(name: str, result: str, **more: Any) -> None:
    with Path(os.environ["RESULTS"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"call": name, "result": result, **more}) + "\n")
