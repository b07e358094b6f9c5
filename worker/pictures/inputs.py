"""The files of a job in the artifact store: its embeddings, its pictures, its file to import."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jobs.errors import InvalidFileError, JobFailedError, UnknownEmbeddingError, UnknownImageError
from jobs.pictures.reader import read_picture
from jobs.requests.objectives import EmbeddingObjective
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import DescribeTask, EmbeddingTask, ImportTask, QueryTask, ScoreTask, Task
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.embeddings import EmbeddingLibrary
from worker.aesthetics.embedding_files import from_file
from worker.aesthetics.embeddings import AestheticEmbedding
from worker.canvas import Canvas
from worker.pictures.edits import Edits, edits_for
from worker.pictures.hints import Hints, hints_for
from worker.pictures.levels import levels
from worker.pictures.masking import canvas_for
from worker.pictures.read import read_named
from worker.pictures.squares import squares_for

DELETED = "a picture that the job needs was deleted before it was looked at"
MOST_PIXELS_OF_OURS = 1 << 28  # of a picture that a worker has made and enlarged


@dataclass(frozen=True)
class StoredPicture:
    """A picture in the artifact store."""

    key: str
    artifacts: ArtifactStore

    def read(self) -> Tensor:
        """The picture [3, H, W] in [0, 1], no larger than a CLIP can use.

        Raises:
            JobFailedError: it is gone or damaged.
            OSError: the artifact store cannot be reached.
        """
        try:
            png = self.artifacts.get(self.key)
        except UnknownImageError as error:
            raise JobFailedError(DELETED) from error
        return levels(read_picture(png, "a stored picture", most_pixels=MOST_PIXELS_OF_OURS)) / 255


@dataclass(frozen=True)
class Inputs:
    """The files of one job.

    Attributes:
        embeddings: the aesthetic embeddings that it names, by their digests.
        named: the pictures that its request names, as ``read_named`` returns them.
        canvas: the one that it starts from, at the size of the pictures to be made.
        hints: the maps of its controls.
        image_prompts: the pictures of its image prompts, squares.
        edits: the picture to edit.
        pictures: those that it embeds, one after another; none is read yet.
        file: a file to import.
    """

    embeddings: Mapping[str, AestheticEmbedding] = field(default_factory=dict)
    named: Mapping[str, Tensor] = field(default_factory=dict)
    canvas: Canvas | None = None
    hints: Hints = field(default_factory=dict)
    image_prompts: tuple[Canvas, ...] = ()
    edits: Edits = field(default_factory=dict)
    pictures: tuple[StoredPicture, ...] = ()
    file: bytes = b""


def read_inputs(
    job_id: str, request: ResolvedRequest | Task, artifacts: ArtifactStore, tenant: str = ""
) -> Inputs:
    """All files of a job, of which the embeddings are its tenant's; of a task with many pictures, their places.

    Raises:
        JobFailedError: a file is gone, is damaged, or has changed since the job was submitted.
        OSError: the artifact store cannot be reached.
    """
    try:
        match request:
            case ResolvedRequest():
                library, named = EmbeddingLibrary(artifacts, tenant), read_named(job_id, request, artifacts)
                canvas = canvas_for(request, named)
                return Inputs(
                    embeddings={
                        digest: _embedding(name, digest, library) for name, digest in _named(request)
                    },
                    named=named,
                    canvas=canvas,
                    hints=hints_for(request, named, canvas),
                    image_prompts=squares_for(request, named),
                    edits=edits_for(request, named, canvas),
                )
            case EmbeddingTask():
                return Inputs(
                    pictures=tuple(
                        StoredPicture(key, artifacts) for key in (*request.pictures, *request.minus)
                    )
                )
            case ScoreTask():
                return Inputs(pictures=tuple(StoredPicture(key, artifacts) for key in request.pictures))
            case QueryTask(picture=str() as key):
                return Inputs(pictures=(StoredPicture(key, artifacts),))
            case DescribeTask():
                return Inputs(pictures=(StoredPicture(request.picture, artifacts),))
            case ImportTask():
                return Inputs(file=artifacts.get(request.file))
            case _:
                return Inputs()
    except UnknownImageError as error:
        raise JobFailedError(DELETED) from error


def read_whole_picture(png: bytes) -> Tensor:
    """A PNG that this worker has stored, as [3, H, W] in [0, 1], every pixel of it.

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


def _embedding(name: str, digest: str, library: EmbeddingLibrary) -> AestheticEmbedding:
    try:
        embedding = from_file(library.file(name), name)
    except UnknownEmbeddingError as error:
        raise JobFailedError(f"the embedding {name!r} was deleted before the job started") from error
    if embedding.digest != digest:
        raise JobFailedError(f"the embedding {name!r} is not the one that it was when the job was submitted")
    return embedding
