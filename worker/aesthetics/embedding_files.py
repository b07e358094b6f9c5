"""Aesthetic embeddings as files: our own safetensors files, and published ones of other kinds."""

import json

from safetensors.torch import save
from torch import Tensor

from jobs.errors import InvalidFileError
from worker.aesthetics.embeddings import AestheticEmbedding, require_direction
from worker.aesthetics.files import read_tensors

KEY = "embedding"
MAX_WIDTH = 8192


def import_vector(data: bytes, name: str) -> tuple[Tensor, dict[str, str]]:
    """The vector [E] of a published file (.pt, .npy or .safetensors) of shape [E] or [1, E], and its metadata.

    Raises:
        InvalidFileError: it holds something else.
    """
    tensors, metadata = read_tensors(data, name)
    if len(tensors) != 1:
        raise InvalidFileError(f"{name} holds {len(tensors)} tensors, not one embedding")
    (tensor,) = tensors.values()
    if (
        tensor.ndim not in (1, 2)
        or (tensor.ndim == 2 and len(tensor) != 1)
        or not 2 <= tensor.shape[-1] <= MAX_WIDTH
    ):
        raise InvalidFileError(f"{name} holds a tensor of shape {list(tensor.shape)}, not one embedding")
    return require_direction(tensor.float().flatten(), name), metadata


def to_file(embedding: AestheticEmbedding) -> bytes:
    """The safetensors file of an embedding; the same embedding gives the same bytes."""
    metadata = {**embedding.metadata, "clip": embedding.clip, "digest": embedding.digest}
    written = save({KEY: embedding.vector.float().contiguous()}, metadata=dict(sorted(metadata.items())))
    return _with_sorted_header(written)


def from_file(data: bytes, name: str) -> AestheticEmbedding:
    """An embedding from its safetensors file; ``name`` is its own, and may have any form.

    Raises:
        InvalidFileError: it is none of ours.
    """
    vector, metadata = import_vector(data, f"{name}.safetensors")
    if "clip" not in metadata:
        raise InvalidFileError(f"{name} does not name its CLIP")
    rest = {key: value for key, value in metadata.items() if key not in ("clip", "digest", "format")}
    return AestheticEmbedding(vector, metadata["clip"], rest)


def _with_sorted_header(data: bytes) -> bytes:
    """The library writes the metadata in any order; sorted, the same content is the same file."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    padded = header.ljust(-(-len(header) // 8) * 8)
    return len(padded).to_bytes(8, "little") + padded + data[8 + length :]
