"""Reads the header of a safetensors file: which tensors it holds, and where."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from jobs.errors import ModelUnavailableError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
LENGTH_BYTES = 8  # of the number that a file begins with: the bytes of its header, little-endian


@dataclass(frozen=True)
class Entry:
    """One tensor of a file.

    Attributes:
        name: its key.
        dtype: of its numbers.
        shape: its sizes.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Header:
    """The tensors of a file in the order in which they lie there, without gaps, after ``begin`` bytes."""

    begin: int
    entries: tuple[Entry, ...]


def read_header(file: Path) -> Header:
    """The header of a file, of which the library has verified that it fits the file.

    Raises:
        ModelUnavailableError: the file is damaged, or holds numbers of an unknown format.
    """
    try:
        with safe_open(file, framework="pt"):  # raises for overlaps, gaps, and what lies outside of the file
            pass
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
            fields = json.loads(stream.read(length))
        fields.pop("__metadata__", None)
        ordered = sorted(fields.items(), key=lambda item: item[1]["data_offsets"])
        entries = tuple(Entry(name, DTYPES[field["dtype"]], tuple(field["shape"])) for name, field in ordered)
    except Exception as error:
        raise ModelUnavailableError(f"{file.parent.name}/{file.name} cannot be loaded: {error}") from error
    return Header(LENGTH_BYTES + length, entries)


def read_shapes(file: Path) -> dict[str, Sequence[int]]:
    """The shapes of a file's tensors.

    Raises:
        ModelUnavailableError: as for ``read_header``.
    """
    return {entry.name: entry.shape for entry in read_header(file).entries}


def outline(files: Iterable[Path]) -> dict[str, Tensor]:
    """The tensors of files that together hold one network, on the meta device.

    Raises:
        ModelUnavailableError: as for ``read_header``.
    """
    entries = (entry for file in files for entry in read_header(file).entries)
    return {entry.name: torch.empty(entry.shape, dtype=entry.dtype, device="meta") for entry in entries}
