"""Aesthetic embeddings: one vector of a CLIP's space that stands for a taste.

Made from pictures, from two sets of pictures, or by others. Kept as safetensors files whose metadata name the CLIP,
since the spaces of two CLIPs have nothing in common, even where they have as many dimensions.
"""

import json
from dataclasses import dataclass
from hashlib import sha256

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import ClipMismatchError, InvalidFileError
from worker.aesthetics.files import read_tensors

KEY = "embedding"
MAX_WIDTH = 8192


@dataclass(frozen=True)
class AestheticEmbedding:
    """A taste.

    Attributes:
        vector: [E], float32, of any length: a user takes its direction.
        clip: id of the CLIP whose space it is in.
        metadata: what is recorded of its making besides the CLIP.
    """

    vector: Tensor
    clip: str
    metadata: dict[str, str]

    @property
    def direction(self) -> Tensor:
        """The unit vector [E]."""
        return F.normalize(self.vector, dim=0)

    @property
    def digest(self) -> str:
        """Tells this vector from every other."""
        return vector_digest(self.vector)


def vector_digest(vector: Tensor) -> str:
    """The SHA-256 of a vector's float32 numbers."""
    return sha256(vector.float().contiguous().cpu().numpy().astype("<f4").tobytes()).hexdigest()


def mean_embedding(embeddings: Tensor, *, normalize: bool) -> Tensor:
    """The mean [E] of picture embeddings [N, E], as the CLIP gives them, not normalised.

    Args:
        embeddings: one row for each picture.
        normalize: make every picture count the same. The published script (Gallego 2022) does not.

    Raises:
        InvalidFileError: the pictures cancel each other out, so that no direction is left.
    """
    rows = F.normalize(embeddings.float(), dim=-1) if normalize else embeddings.float()
    return _checked(rows.mean(dim=0), "the mean of these pictures")


def contrast(of: Tensor, minus: Tensor) -> Tensor:
    """The direction [E] from one mean to another: what tells the first pictures from the others.

    LAION's ``laion_7plus`` is this, of the means of the pictures rated 7 to 9 and 1 to 3.

    Raises:
        InvalidFileError: both are the same.
    """
    return _checked(of - minus, "the difference of these means")


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
    return _checked(tensor.float().flatten(), name), metadata


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


def require_clip(embedding: AestheticEmbedding, clip: str, *, name: str, width: int | None = None) -> None:
    """Raise ClipMismatchError, which names both, unless an embedding is of this CLIP's space."""
    if embedding.clip != clip:
        raise ClipMismatchError(
            f"the embedding {name!r} was made by {embedding.clip}, and {clip} is asked to use it"
        )
    if width is not None and len(embedding.vector) != width:
        raise ClipMismatchError(
            f"the embedding {name!r} has {len(embedding.vector)} numbers, those of {clip} have {width}"
        )


def _checked(vector: Tensor, what: str) -> Tensor:
    if not bool(torch.isfinite(vector).all()) or float(vector.norm()) < 1e-6:
        raise InvalidFileError(f"{what} points nowhere: it is zero, or not finite")
    return vector


def _with_sorted_header(data: bytes) -> bytes:
    """The library writes the metadata in any order; sorted, the same content is the same file."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    padded = header.ljust(-(-len(header) // 8) * 8)
    return len(padded).to_bytes(8, "little") + padded + data[8 + length :]
