"""What a job needs from the artifact store before it starts: its embedding, its pictures, its file."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jobs.artifacts import ArtifactStore
from jobs.embeddings import EmbeddingLibrary
from jobs.errors import InvalidFileError, JobFailedError, UnknownEmbeddingError, UnknownImageError
from jobs.objectives import EmbeddingObjective
from jobs.request import ResolvedRequest
from jobs.tasks import EmbeddingTask, ImportTask, QueryTask, ScoreTask, Task
from worker.aesthetics.embeddings import AestheticEmbedding, from_file


@dataclass(frozen=True)
class Inputs:
    """The files of one job, read.

    Attributes:
        tastes: the aesthetic embeddings that it names, by their digests.
        pictures: [3, H, W] in [0, 1] each.
        file: a file to import.
    """

    tastes: Mapping[str, AestheticEmbedding] = field(default_factory=dict)
    pictures: tuple[Tensor, ...] = ()
    file: bytes = b""


def read_inputs(request: ResolvedRequest | Task, artifacts: ArtifactStore) -> Inputs:
    """Everything that a job needs.

    Raises:
        JobFailedError: something is no longer there, is damaged, or is not what it was when the job was submitted.
        OSError: the artifact store cannot be reached.
    """
    try:
        match request:
            case ResolvedRequest():
                library = EmbeddingLibrary(artifacts)
                return Inputs(
                    tastes={digest: _taste(name, digest, library) for name, digest in _named(request)}
                )
            case EmbeddingTask() | ScoreTask():
                keys = (*request.pictures, *(request.minus if isinstance(request, EmbeddingTask) else ()))
                return Inputs(pictures=tuple(read_picture(artifacts.get(key)) for key in keys))
            case QueryTask(picture=str() as key):
                return Inputs(pictures=(read_picture(artifacts.get(key)),))
            case ImportTask():
                return Inputs(file=artifacts.get(request.file))
            case _:
                return Inputs()
    except UnknownImageError as error:
        raise JobFailedError("a picture that the job needs was deleted before it started") from error


def read_picture(png: bytes) -> Tensor:
    """A PNG that we have stored, as [3, H, W] in [0, 1].

    Raises:
        InvalidFileError: it is damaged.
    """
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidFileError(f"a stored picture is damaged: {error}") from error
    return torch.from_numpy(pixels / 255).permute(2, 0, 1).contiguous()


def _named(request: ResolvedRequest) -> set[tuple[str, str]]:
    """Names and digests of the embeddings that a request names."""
    objectives = request.guidance.objectives if request.guidance else ()
    named = {
        (objective.embedding, objective.digest or "")
        for objective in objectives
        if isinstance(objective, EmbeddingObjective)
    }
    if request.personalization is not None:
        named.add((request.personalization.embedding, request.personalization.digest))
    return named


def _taste(name: str, digest: str, library: EmbeddingLibrary) -> AestheticEmbedding:
    try:
        embedding = from_file(library.file(name), name)
    except UnknownEmbeddingError as error:
        raise JobFailedError(f"the embedding {name!r} was deleted before the job started") from error
    if embedding.digest != digest:
        raise JobFailedError(f"the embedding {name!r} is not the one that it was when the job was submitted")
    return embedding
