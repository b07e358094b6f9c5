"""Aesthetic embeddings: one vector of a CLIP's space, which stands for a style or a preference.

Made from pictures, from two sets of pictures, or by others. Kept as safetensors files whose metadata name the CLIP,
since the spaces of two CLIPs have nothing in common, even where they have as many dimensions.
"""

from dataclasses import dataclass
from hashlib import sha256

import torch
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import ClipMismatchError, InvalidFileError


@dataclass(frozen=True)
class AestheticEmbedding:
    """An aesthetic embedding.

    Attributes:
        vector: [E], float32, of any length, since only its direction counts.
        clip: id of the CLIP whose space it is in.
        metadata: of its making, besides the CLIP.
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
        """Identifies the vector."""
        return vector_digest(self.vector)


def vector_digest(vector: Tensor) -> str:
    """The SHA-256 of a vector's float32 numbers."""
    return sha256(vector.float().contiguous().cpu().numpy().astype("<f4").tobytes()).hexdigest()


def mean_embedding(embeddings: Tensor, *, normalize: bool) -> Tensor:
    """The mean [E] of image features [N, E], not normalised.

    Args:
        embeddings: one row for each picture.
        normalize: give every picture the same weight. The published script (Gallego 2022) does not.

    Raises:
        InvalidFileError: the pictures cancel each other out, so that no direction is left.
    """
    rows = F.normalize(embeddings.float(), dim=-1) if normalize else embeddings.float()
    return require_direction(rows.mean(dim=0), "the mean of these pictures")


def contrast(of: Tensor, minus: Tensor) -> Tensor:
    """The direction [E] from one mean to another, which separates the first pictures from the others.

    LAION's ``laion_7plus`` is this, of the means of the pictures rated 7 to 9 and 1 to 3.

    Raises:
        InvalidFileError: both are the same.
    """
    return require_direction(of - minus, "the difference of these means")


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


def require_direction(vector: Tensor, what: str) -> Tensor:
    """The vector [E]; raise InvalidFileError, which names ``what``, if it is zero or not finite."""
    if not bool(torch.isfinite(vector).all()) or float(vector.norm()) < 1e-6:
        raise InvalidFileError(f"{what} points nowhere: it is zero, or not finite")
    return vector
