"""Reads tensors from other people's files, with bounds, and without running their code."""

import io
import zipfile
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from jobs.errors import InvalidFileError
from jobs.storage.safetensors_header import read_metadata

MAX_BYTES = 64 * 2**20
MAX_ELEMENTS = MAX_BYTES // 2
SUFFIXES = (".safetensors", ".pt", ".pth", ".npy")
# weights_only could be talked into running code before: CVE-2025-32434, CVE-2026-24747.
SAFE_TORCH = (2, 10)


def read_tensors(data: bytes, name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file by their keys, on the CPU, and its metadata.

    A file that holds one tensor without a key, as .npy files do, has it under ``""``.

    Args:
        data: the file.
        name: of the file; its suffix decides the format, and errors name it.

    Raises:
        InvalidFileError: it is too large, of another kind, damaged, or holds more than tensors.
    """
    if len(data) > MAX_BYTES:
        raise InvalidFileError(f"{name} is larger than {MAX_BYTES // 2**20} MiB")
    metadata: dict[str, str] = {}
    match PurePath(name).suffix.lower():
        case ".safetensors":
            metadata = read_metadata(data, name)
            tensors = _safetensors(data, name)
        case ".pt" | ".pth":
            tensors = _torch(data, name)
        case ".npy":
            tensors = {"": _npy(data, name)}
        case _:
            raise InvalidFileError(f"{name} is none of {', '.join(SUFFIXES)}")
    for tensor in tensors.values():
        # An expanded tensor takes no room in a file, and all of it in memory.
        if tensor.numel() > MAX_ELEMENTS:
            raise InvalidFileError(
                f"{name} holds a tensor of {tensor.numel()} numbers, more than {MAX_ELEMENTS}"
            )
        if not tensor.is_floating_point():
            raise InvalidFileError(f"{name} holds numbers of type {tensor.dtype}, not floating-point ones")
    return tensors, metadata


def _safetensors(data: bytes, name: str) -> dict[str, Tensor]:
    try:
        return load_safetensors(data)
    except Exception as error:  # of another kind for each damage
        raise InvalidFileError(f"{name} is no whole safetensors file: {error}") from error


def _torch(data: bytes, name: str) -> dict[str, Tensor]:
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < SAFE_TORCH:
        raise InvalidFileError(
            f"{name} is a pickle, which PyTorch reads safely from version {SAFE_TORCH[0]}.{SAFE_TORCH[1]} on; "
            f"this worker has {torch.__version__}. A .safetensors file works with all"
        )
    _check_unpacked_size(data, name)
    try:
        # Some published files lie on cuda:0.
        found: Any = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except Exception as error:  # pickle, zip and torch each raise their own kinds
        raise InvalidFileError(f"{name} cannot be read as tensors alone: {_first_line(error)}") from error
    if isinstance(found, Tensor):
        return {"": found.detach()}
    if isinstance(found, dict) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    ):
        return {key: value.detach() for key, value in found.items()}
    raise InvalidFileError(f"{name} holds a {type(found).__name__}, not a tensor or tensors by name")


def _check_unpacked_size(data: bytes, name: str) -> None:
    """A zip archive may unpack to a thousand times its size."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except Exception as error:  # likewise
        raise InvalidFileError(f"{name} is damaged: {error}") from error
    if unpacked > MAX_BYTES:
        raise InvalidFileError(f"{name} unpacks to more than {MAX_BYTES // 2**20} MiB")


def _npy(data: bytes, name: str) -> Tensor:
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read_header(file)
        # From the header; numpy allocates this much before it reads on.
        if int(np.prod(shape, dtype=object)) * dtype.itemsize > len(data) or dtype.hasobject:
            raise ValueError("the header promises other data than follows")
        array = np.load(io.BytesIO(data), allow_pickle=False)
        return torch.from_numpy(np.ascontiguousarray(array))
    except Exception as error:  # likewise: numpy hands a header to Python's own parsers
        raise InvalidFileError(f"{name} is no array of numbers: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
