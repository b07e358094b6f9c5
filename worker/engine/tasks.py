"""Tasks: the small jobs that make no picture, as generators of model calls like the samplers."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from jobs.catalog.words import Words
from jobs.errors import ClipMismatchError
from jobs.requests.tasks import (
    ClipTask,
    DescribeTask,
    EmbeddingTask,
    ImportTask,
    PictureScore,
    Place,
    QueryTask,
    Scores,
    ScoreTask,
    TaskResult,
)
from jobs.storage.embeddings import describe
from worker.aesthetics.embedding_files import import_vector, to_file
from worker.aesthetics.embeddings import AestheticEmbedding, contrast, mean_embedding, require_clip
from worker.calls import EmbedImage, EmbedText
from worker.events import Fetch, Stepped, Yield
from worker.facts import Facts
from worker.pictures.describing import described
from worker.pictures.inputs import Inputs, StoredPicture
from worker.sampling.notes import note_cut_text
from worker.sampling.scoring import aesthetic_score, cosine_similarity, require_finite_features

Steps = Generator[Yield, Any, "Done"]


@dataclass(frozen=True)
class Done:
    """The outcome of a task.

    Attributes:
        result: for the caller.
        name, file: of an embedding to keep; empty for other tasks.
    """

    result: TaskResult
    name: str = ""
    file: bytes = b""


def run_task(task: ClipTask, inputs: Inputs, facts: Facts, words: Words | None = None) -> Steps:
    """The generator of a task.

    Args:
        task: the request.
        inputs: its pictures or its file.
        facts: of the CLIP that it names.
        words: for a description.
    """
    match task:
        case EmbeddingTask():
            return _embedding(task, inputs.pictures)
        case ImportTask():
            return _import(task, inputs.file)
        case ScoreTask():
            return _scores(task, inputs.pictures, facts)
        case QueryTask():
            return _place(task, inputs.pictures, facts)
        case DescribeTask():
            assert words is not None
            return _description(task, inputs.pictures, words)


def _embedding(task: EmbeddingTask, pictures: tuple[StoredPicture, ...]) -> Steps:
    rows = torch.cat((yield from _embed_all(task.clip, pictures)))
    of, minus = rows[: len(task.pictures)], rows[len(task.pictures) :]
    vector = mean_embedding(of, normalize=task.normalize)
    metadata = {"made_from": "pictures", "normalize": str(task.normalize).lower(), "pictures": str(len(of))}
    if len(minus):
        vector = contrast(vector, mean_embedding(minus, normalize=task.normalize))
        metadata |= {"made_from": "contrast", "minus": str(len(minus))}
    return _kept(task.name, AestheticEmbedding(vector, task.clip, {**metadata, "name": task.name}))


def _import(task: ImportTask, file: bytes) -> Steps:
    # The key has the suffix that was checked; older versions kept no other part of the name.
    vector, metadata = import_vector(file, task.filename or PurePath(task.file).name)
    if metadata.get("clip", task.clip) != task.clip:
        raise ClipMismatchError(f"the file was made by {metadata['clip']}, and is imported for {task.clip}")
    known: Tensor = yield EmbedText(task.clip, "")  # only for the length of the CLIP's embeddings
    ours: dict[str, str] = {
        key: metadata[key] for key in ("made_from", "normalize", "pictures", "minus") if key in metadata
    }
    embedding = AestheticEmbedding(vector, task.clip, {"made_from": "import", **ours, "name": task.name})
    require_clip(embedding, task.clip, name=task.name, width=known.shape[-1])
    return _kept(task.name, embedding)


def _kept(name: str, embedding: AestheticEmbedding) -> Done:
    file = to_file(embedding)
    return Done(describe(file, name), name, file)


def _scores(task: ScoreTask, pictures: tuple[StoredPicture, ...], facts: Facts) -> Steps:
    target: Tensor | None = None
    if task.prompt is not None:
        yield from note_cut_text(task.clip, task.prompt, "the prompt", facts)
        target = yield EmbedText(task.clip, task.prompt)
    scores = []
    for number, picture in enumerate(pictures):
        features = yield from _embed(task.clip, picture)
        rating = aesthetic_score(features, facts.clips[task.clip])
        require_finite_features(features, rating, number, task.clip)
        similarity = None if target is None else round(cosine_similarity(features, target), 4)
        scores.append(
            PictureScore(clip_score=similarity, aesthetic_score=None if rating is None else round(rating, 4))
        )
        yield Stepped()
    return Done(Scores(clip=task.clip, pictures=tuple(scores)))


def _place(task: QueryTask, pictures: tuple[StoredPicture, ...], facts: Facts) -> Steps:
    if task.text is not None:
        yield from note_cut_text(task.clip, task.text, "the text", facts)
        row: Tensor = yield EmbedText(task.clip, task.text)
    else:
        (row,) = yield from _embed_all(task.clip, pictures)
    return Done(Place(clip=task.clip, vector=tuple(F.normalize(row[0], dim=0).tolist())))


def _description(task: DescribeTask, pictures: tuple[StoredPicture, ...], words: Words) -> Steps:
    (row,) = yield from _embed_all(task.clip, pictures)
    description = yield from described(task.clip, F.normalize(row[0], dim=0), words)
    return Done(description)


def _embed_all(clip: str, pictures: tuple[StoredPicture, ...]) -> Generator[Yield, Any, list[Tensor]]:
    """The image features [1, E] of each picture."""
    rows = []
    for number, picture in enumerate(pictures):
        features = yield from _embed(clip, picture)
        require_finite_features(features, None, number, clip)
        rows.append(features)
        yield Stepped()
    return rows


def _embed(clip: str, picture: StoredPicture) -> Generator[Yield, Any, Tensor]:
    """The image features [1, E] of a picture. One picture is in memory at a time, however many a task has."""
    pixels: Tensor = yield Fetch(picture.read)
    features: Tensor = yield EmbedImage(clip, pixels)
    return features
