"""Bodies that are no good JSON, of another type than announced, or long where a model allows only a little."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from app.api.settings import ApiSettings

LIMIT_BYTES: int = ApiSettings.model_fields["max_body_bytes"].default
LONG_BYTES = 1 << 20  # more than any field may have
_JSON = "application/json"


@dataclass(frozen=True)
class OddBody:
    """A body, what it is announced as, and what is odd of it. All are to be refused but those that may be served."""

    about: str
    data: bytes
    content_type: str | None = _JSON
    encoding: str | None = None


def odd_bodies(chance: Random, right: dict[str, Any]) -> Iterator[OddBody]:
    """All of them, for a route that takes the right one."""
    yield from _of_other_types(json.dumps(right).encode())
    yield from _no_json(chance)
    yield from _numbers_and_texts(right)
    yield from _long(chance, right)


def _of_other_types(whole: bytes) -> Iterator[OddBody]:
    for kind in (
        None,
        "",
        "text/plain",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 5000,
        "application/json; charset=utf-16",
        "application/json; charset=nothing",
        "application/vnd.odd+json",
        "application/json, text/html",
        "\xe9",
        "/",
        "a" * 4000,
    ):
        yield OddBody(f"announced as {str(kind)[:40]!r}", whole, kind)
    yield OddBody("said to be gzip", gzip.compress(whole, mtime=0), encoding="gzip")
    yield OddBody("said to be gzip and is not", whole, encoding="gzip")
    yield OddBody("said to be br", whole, encoding="br")


def _no_json(chance: Random) -> Iterator[OddBody]:
    for about, data in {
        "nothing": b"",
        "spaces": b" \n\t ",
        "a list": b"[]",
        "null": b"null",
        "a number": b"7",
        "a text": b'"a"',
        "half": b'{"prompt": "a',
        "two": b"{}{}",
        "a comment": b"{/* */}",
        "single quotes": b"{'prompt': 'a'}",
        "UTF-16": '{"prompt": "a"}'.encode("utf-16"),
        "UTF-32": '{"prompt": "a"}'.encode("utf-32"),
        "a byte order mark": b'\xef\xbb\xbf{"prompt": "a"}',
        "Latin-1": '{"prompt": "é"}'.encode("latin-1"),
        "overlong UTF-8": b'{"prompt": "\xc0\xaf"}',
        "lone surrogates": b'{"prompt": "\\ud800"}',
        "a surrogate as a name": b'{"\\ud800": 1}',
        "a NUL": b'{"prompt": "a\\u0000b"}',
        "a raw NUL": b'{"prompt": "a\0b"}',
        "the same field twice": b'{"prompt": "a", "prompt": 7}',
        "noise": chance.randbytes(3000),
        "deep lists": b"[" * 100_000 + b"]" * 100_000,
        "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "deep and open": b"[" * 900_000,
        "a deep guidance": b'{"prompt":"a","guidance":' + b"[" * 900 + b"]" * 900 + b"}",
        "an endless number": b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}",
        "a huge exponent": b'{"prompt": "a", "seed": 1e999999}',
    }.items():
        yield OddBody(about, data)


def _numbers_and_texts(right: dict[str, Any]) -> Iterator[OddBody]:
    for name in ("seed", "steps", "cfg_scale", "width", "timeout_s", "eta"):
        for value in (
            "NaN",
            "Infinity",
            "-Infinity",
            "1e400",
            str(2**1000),
            "true",
            "[]",
            '"' + "9" * 5000 + '"',
        ):
            whole = json.dumps({**right, name: "HERE"}).replace('"HERE"', value)
            yield OddBody(f"{name} {value[:20]}", whole.encode())


def _long(chance: Random, right: dict[str, Any]) -> Iterator[OddBody]:
    """Within the limit of a body, and each longer than the limit of its own."""
    number = LONG_BYTES // 2 - 2000
    lists: dict[str, list[Any]] = {
        "zeros": [0],
        "objects": [{}],
        "texts": ["a"],
        "objectives": [{"type": "text", "text": ""}],
    }
    for about, item in lists.items():
        text = ",".join([json.dumps(item[0])] * (2 * number // (len(json.dumps(item[0])) + 1)))
        for name in ("guidance.objectives", "webhook.events"):
            group, _, part = name.partition(".")
            url = '"url":"https://lodestar.invalid",' if group == "webhook" else ""
            yield OddBody(f"{name} of many {about}", _with_field(right, group, f'{{{url}"{part}":[{text}]}}'))
        yield OddBody(f"a prompt of many {about}", _with_field(right, "prompt", f"[{text}]"))
        yield OddBody(f"a list of many {about}", f"[{text}]".encode())
    unknown = ",".join(f'"x{index}":0' for index in range(LONG_BYTES // 11 - 1000))
    yield OddBody("unknown fields by the thousand", f"{{{unknown}}}".encode())
    yield OddBody("unknown fields of guidance", _with_field(right, "guidance", f"{{{unknown}}}"))
    yield OddBody("a long name", _with_field(right, "n" * (LONG_BYTES - 2000), "0"))
    for name in ("prompt", "model", "sampler", "webhook", "version", "size"):
        yield OddBody(f"a long {name}", _with_field(right, name, '"' + "é" * (LONG_BYTES // 2 - 2000) + '"'))
    yield OddBody("a longer body than is read", b'{"prompt":"' + b"a" * LIMIT_BYTES + b'"}')
    schedule = "[" + ",".join(["1"] * (LONG_BYTES // 2 - 5000)) + "]"
    yield OddBody("a long schedule", _with_field(right, "guidance", json.dumps({"inner_cuts": schedule})))
    yield OddBody("a schedule of many", _with_field(right, "guidance", '{"inner_cuts":"[1]*1000000000"}'))
    noise = "".join(chance.choice("[{\"',:") for _ in range(LONG_BYTES - 2000))
    yield OddBody("brackets at random", noise.encode())


def _with_field(right: dict[str, Any], name: str, value: str) -> bytes:
    others = json.dumps({key: each for key, each in right.items() if key != name})[1:-1]
    return f'{{"{name}":{value}{"," * bool(others)}{others}}}'.encode()
