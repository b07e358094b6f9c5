"""The header of a safetensors file, read without PyTorch.

The format: eight bytes, the length of the header as a little-endian integer; the header, a JSON object of tensors by
name with an optional object of strings under ``__metadata__``; the tensors' bytes.
"""

import json
import struct

from jobs.errors import InvalidFileError

MAX_HEADER_BYTES = 1 << 20


def read_metadata(data: bytes, name: str) -> dict[str, str]:
    """The ``__metadata__`` of a file; empty if it has none.

    Raises:
        InvalidFileError: the header is missing, too long, or no JSON object of the right kind.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= min(len(data) - 8, MAX_HEADER_BYTES):
        raise InvalidFileError(f"{name} is no safetensors file: it has no header of a sensible length")
    try:
        header = json.loads(data[8 : 8 + length])
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidFileError(f"{name} is no safetensors file: its header is not JSON") from error
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InvalidFileError(f"{name} has metadata that are not strings by name")
    return metadata


def with_metadata(data: bytes, **added: str) -> bytes:
    """A good file with more ``__metadata__``; its tensors stay where they are."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["__metadata__"] = dict(sorted({**header.get("__metadata__", {}), **added}.items()))
    text = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    text += b" " * (-len(text) % 8)  # the format wants the tensors aligned
    return len(text).to_bytes(8, "little") + text + data[start:]


def read_floats(data: bytes, key: str, name: str) -> list[float]:
    """The numbers of one float32 tensor.

    Raises:
        InvalidFileError: there is no such tensor.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    try:
        tensor = json.loads(data[8:start])[key]
        first, last = tensor["data_offsets"]
        if tensor["dtype"] != "F32" or not 0 <= first <= last <= len(data) - start:
            raise ValueError("it is not float32, or lies outside of the file")
        return [number for (number,) in struct.iter_unpack("<f", data[start + first : start + last])]
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise InvalidFileError(f"{name} holds no tensor {key!r} that can be read: {error}") from error
