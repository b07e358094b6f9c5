"""Embeddings that would run code, that unpack to gigabytes, that lie, or that hold no use of numbers."""

import json
import math
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.fuzz.corpus.damage import cut, mutants
from benchmarks.fuzz.corpus.pictures import BOMB_BYTES
from benchmarks.fuzz.corpus.sample import Sample

WIDTH = 64  # of the pocket model's text CLIP
_ENTRIES = 20_000
_THEN = (1980, 1, 1, 0, 0, 0)  # archives of the same seed are the same bytes


def weights(chance: Random, marker: Path) -> Iterator[Sample]:
    """All of them; the same for the same seed and marker.

    Args:
        chance: what is random in them.
        marker: the file that comes to be if one of them is run.
    """
    whole = list(_usual(chance))
    yield from whole
    yield from _that_run(marker)
    yield from _archives()
    yield from _arrays()
    yield from _safetensors(chance)
    for each in whole:
        yield cut(each, 0.5)
        yield from mutants(each, chance, 8)
    for suffix in ("pt", "pth", "npy", "safetensors"):
        yield Sample(f"empty.{suffix}", b"", False)
        yield Sample(f"noise.{suffix}", chance.randbytes(5000), False)
    yield Sample("named.exe", chance.randbytes(100), False)


def _usual(chance: Random) -> Iterator[Sample]:
    numbers = struct.pack(f"<{WIDTH}f", *(chance.gauss(0, 1) for _ in range(WIDTH)))
    yield Sample("vector.safetensors", safetensors(_vector(), numbers), True)
    yield Sample(
        "vector.npy", npy(f"{{'descr':'<f4','fortran_order':False,'shape':({WIDTH},)}}", numbers), True
    )


class _Runs:
    """Unpickling one runs a command."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self._marker}'",)


def _that_run(marker: Path) -> Iterator[Sample]:
    for protocol in (0, 2, 5):
        evil = pickle.dumps(_Runs(marker), protocol)
        yield Sample(f"runs-{protocol}.pt", evil, False)
        yield Sample(f"runs-{protocol}.pth", _archive(("a/data.pkl", evil), ("a/version", b"3\n")), False)
    evil = pickle.dumps([_Runs(marker)])
    yield Sample("runs.npy", npy("{'descr':'|O','fortran_order':False,'shape':(1,)}", evil), False)
    yield Sample("runs-by-exec.pt", b"cbuiltins\nexec\n(S'open(%r, \"w\")'\ntR." % str(marker), False)
    nested = _archive(("a/data.pkl", b"\x80\x02}."), ("a/byteorder", b"little"), ("a/constants.pkl", evil))
    yield Sample("runs-torchscript.pt", nested, False)


def _archive(*files: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name, _THEN)
            info.compress_type = method
            archive.writestr(info, data)
    return out.getvalue()


def _archives() -> Iterator[Sample]:
    bomb = _archive(("a/data.pkl", bytes(BOMB_BYTES)), method=zipfile.ZIP_DEFLATED)
    yield Sample("bomb.pt", bomb, False)
    lying = bytearray(bomb)
    for at in (lying.rindex(b"PK\x01\x02") + 24, lying.index(b"PK\x03\x04") + 22):
        lying[at : at + 4] = struct.pack("<I", 100)
    yield Sample("lying.pt", bytes(lying), False)
    yield Sample("entries.pt", _archive(*((f"a/{index}", b"") for index in range(_ENTRIES))), False)
    yield Sample("climbing.pt", _archive(("../../evil/data.pkl", b"\x80\x02}."), ("/etc/evil", b"")), False)
    yield Sample("deep.pt", b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", False)
    yield Sample("long-opcode.pt", b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x", False)


def npy(head: str, body: bytes = b"", version: int = 1) -> bytes:
    """A NumPy file of this header."""
    text = head.encode() + b"\n"
    return (
        b"\x93NUMPY"
        + bytes((version, 0))
        + struct.pack("<H" if version == 1 else "<I", len(text))
        + text
        + body
    )


def _arrays() -> Iterator[Sample]:
    def of(kind: str, shape: str) -> str:
        return f"{{'descr':{kind},'fortran_order':False,'shape':{shape}}}"

    nan = struct.pack(f"<{WIDTH}f", *[math.nan] * WIDTH)
    heads = {
        "square": of("'<f4'", "(10**9, 10**9)"),
        "huge": of("'<f4'", "(1000000000, 1000000000)"),
        "overflow": of("'<f4'", "(4294967296, 4294967296, 4294967296)"),
        "negative": of("'<f4'", "(-1, -5)"),
        "nothing": of("'|V0'", "(1000000000000,)"),
        "text": of("'<U9'", "(2,)"),
        "complex": of("'<c8'", "(32,)"),
        "fields": of("[('a','<f4'),('b','<i8')]", "(2,)"),
        "deep": of("[" * 5000 + "'<f4'" + "]" * 5000, "(1,)"),
        "code": "__import__('os').system('true')",
        "scalar": of("'<f4'", "()"),
    }
    for name, head in heads.items():
        yield Sample(f"{name}.npy", npy(head, bytes(256)), False)
    yield Sample("nan.npy", npy(of("'<f4'", f"({WIDTH},)"), nan), False)
    yield Sample("long-header.npy", npy(of("'<f4'", "(1,)") + " " * 10_000_000, version=2), False)


def _vector(**metadata: Any) -> dict[str, Any]:
    named = {"embedding": {"dtype": "F32", "shape": [WIDTH], "data_offsets": [0, 4 * WIDTH]}}
    return {"__metadata__": metadata, **named} if metadata else named


def safetensors(head: Any, body: bytes = b"") -> bytes:
    """A safetensors file of this header: bytes, or what is JSON."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + body


def _safetensors(chance: Random) -> Iterator[Sample]:
    def filled(value: float) -> bytes:
        return struct.pack(f"<{WIDTH}f", *[value] * WIDTH)

    def one(dtype: str, shape: list[int], end: int) -> dict[str, Any]:
        return {"embedding": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}

    for name, value in (("nan", math.nan), ("inf", math.inf), ("zeros", 0.0)):
        yield Sample(f"{name}.safetensors", safetensors(_vector(), filled(value)), False)
    yield Sample("long-header.safetensors", struct.pack("<Q", 2**63) + b"{}", False)
    yield Sample("negative-header.safetensors", b"\xff" * 8 + b"{}", False)
    yield Sample("deep.safetensors", safetensors(b"[" * 200_000 + b"]" * 200_000), False)
    yield Sample("beyond-end.safetensors", safetensors(one("F32", [1_000_000], 4_000_000), bytes(16)), False)
    yield Sample("backwards.safetensors", safetensors(one("F32", [4], -16), bytes(16)), False)
    yield Sample(
        "overlap.safetensors",
        safetensors(one("F32", [4], 16) | {"b": one("F32", [4], 16)["embedding"]}, bytes(16)),
        False,
    )
    yield Sample("no-axes.safetensors", safetensors(one("F32", [], 4), bytes(4)), False)
    yield Sample("eight-bits.safetensors", safetensors(one("F8_E4M3", [WIDTH], WIDTH), bytes(WIDTH)), False)
    yield Sample("odd-type.safetensors", safetensors(one("F33", [WIDTH], 256), bytes(256)), False)
    yield Sample(
        "many.safetensors",
        safetensors({f"t{index}": one("F32", [0], 0)["embedding"] for index in range(15_000)}),
        False,
    )
    yield Sample(
        "wrong-width.safetensors",
        safetensors(one("F32", [WIDTH + 1], 4 * WIDTH + 4), bytes(4 * WIDTH + 4)),
        False,
    )
    hostile = {
        "clip": "pocket-s",
        "name": "../../etc/passwd",
        "made_from": "<script>alert(1)</script>",
        "digest": "x" * 1000,
    }
    yield Sample("metadata.safetensors", safetensors(_vector(**hostile), chance.randbytes(4 * WIDTH)))
    yield Sample("metadata-number.safetensors", safetensors(_vector(clip=1), filled(1.0)))
