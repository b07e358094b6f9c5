"""Sends the requests of an application, and reads of the answers what the application reads: a file of ``replays``.

``python -m benchmarks.clients.replay FILE``, with the environment of ``programs/calls.py``. The file is JSON::

    {"headers": {...}, "calls": [{"call": name, "requests": [request, ...]}, ...]}

A request has ``get`` or ``post`` (its path) and one body: ``json``, ``untyped`` (JSON without a Content-Type), or
``form`` with ``files`` (a field's name to a file's). ``reads`` maps places in the answer, such as ``images.0``, to what
stands there; ``keeps`` maps names to places whose text later requests may use. In a text, ``{key}`` is the key,
``{basic}`` a name and the key for Basic, ``{table}`` a picture in base64, and ``{NAME}`` what was kept.
"""

import base64
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from benchmarks.clients.programs.calls import KEY, URL, call, kind

_NAME = re.compile(r"\{(\w+)\}")
_IN_JSON = "|"  # before it a place that holds JSON as a text, after it a place in that


def replay(file: Path) -> None:
    """Make the calls of a file."""
    script = json.loads(file.read_text(encoding="utf-8"))
    kept = {
        "key": KEY,
        "basic": base64.b64encode(f"me:{KEY}".encode()).decode(),
        "table": base64.b64encode(Path("table.png").read_bytes()).decode(),
    }
    with httpx.Client(base_url=URL, timeout=120) as client:
        for step in script["calls"]:

            @call(step["call"])
            def make(requests: list[dict[str, Any]] = step["requests"]) -> None:
                for request in requests:
                    _send(client, script["headers"], request, kept)


def _send(
    client: httpx.Client, headers: Mapping[str, str], request: dict[str, Any], kept: dict[str, str]
) -> None:
    request = _filled(request, kept)
    headers = _filled(headers, kept)
    method = "get" if "get" in request else "post"
    answer = client.request(method, request[method], headers=headers, **_body(request))
    assert answer.is_success, (
        f"{method.upper()} {request[method]} is answered with {answer.status_code}: {answer.text}"
    )
    found = answer.json() if answer.content else None
    for place, wanted in request.get("reads", {}).items():
        _check(place, at(found, place), wanted, client, headers)
    for name, place in request.get("keeps", {}).items():
        kept[name] = at(found, place)


def _body(request: Mapping[str, Any]) -> dict[str, Any]:
    if "json" in request:
        return {"json": request["json"]}
    if "untyped" in request:
        return {"content": json.dumps(request["untyped"]).encode()}
    if "files" in request:
        files = {
            name: (Path(file).name, Path(file).read_bytes(), "image/png")
            for name, file in request["files"].items()
        }
        return {"data": request.get("form", {}), "files": files}
    return {}


def at(found: Any, place: str) -> Any:
    """What stands at a place of JSON, such as ``images.0`` or ``info|seed``."""
    outer, _, inner = place.partition(_IN_JSON)
    for step in outer.split(".") if outer else ():
        found = found[int(step)] if isinstance(found, list) else found[step]
    return at(json.loads(found), inner) if inner else found


def _check(place: str, value: Any, wanted: Any, client: httpx.Client, headers: Mapping[str, str]) -> None:
    match wanted:
        case "a picture":
            assert kind(value) == "png", place
        case "an address":
            assert kind(client.get(value, headers=headers).content) == "png", place
        case "a text":
            assert isinstance(value, str), place
            assert value, place
        case "a number":
            assert isinstance(value, int | float), place
        case "a list":
            assert isinstance(value, list), place
        case _:
            assert value == wanted, f"{place} is {value!r}, not {wanted!r}"


def _filled(value: Any, kept: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _NAME.sub(lambda found: kept.get(found[1], found[0]), value)
    if isinstance(value, Mapping):
        return {name: _filled(each, kept) for name, each in value.items()}
    return [_filled(each, kept) for each in value] if isinstance(value, list) else value


if __name__ == "__main__":
    replay(Path(sys.argv[1]))
