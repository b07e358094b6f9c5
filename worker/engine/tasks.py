"""The small jobs that make no picture, as generators of model calls like the samplers."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import ClipMismatchError
from jobs.requests.tasks import (
    EmbeddingTask,
    ImportTask,
    PictureScore,
    Place,
    QueryTask,
    Scores,
    ScoreTask,
    Task,
    TaskResult,
)
from jobs.storage.embeddings import describe
from worker.aesthetics.embedding_files import import_vector, to_file
from worker.aesthetics.embeddings import AestheticEmbedding, contrast, mean_embedding, require_clip
from worker.calls import Call, EmbedText, Fetch, Look, Measure, Sight, Stepped
from worker.finite import require_finite
from worker.pictures.inputs import Inputs, StoredPicture
from worker.sampling.notes import note_cut

Steps = Generator[Call, Any, "Done"]


@dataclass(frozen=True)
class Done:
    """What came of a task.

    Attributes:
        result: for who asked.
        name, file: of an embedding to keep; empty for other tasks.
    """

    result: TaskResult
    name: str = ""
    file: bytes = b""


def run_task(task: Task, inputs: Inputs) -> Steps:
    """Do a task."""
    match task:
        case EmbeddingTask():
            return _embedding(task, inputs.pictures)
        case ImportTask():
            return _import(task, inputs.file)
        case ScoreTask():
            return _scores(task, inputs.pictures)
        case QueryTask():
            return _place(task, inputs.pictures)


def _embedding(task: EmbeddingTask, pictures: tuple[StoredPicture, ...]) -> Steps:
    rows = torch.cat((yield from _look(task.clip, pictures)))
    of, minus = rows[: len(task.pictures)], rows[len(task.pictures) :]
    vector = mean_embedding(of, normalize=task.normalize)
    metadata = {"made_from": "pictures", "normalize": str(task.normalize).lower(), "pictures": str(len(of))}
    if len(minus):
        vector = contrast(vector, mean_embedding(minus, normalize=task.normalize))
        metadata |= {"made_from": "contrast", "minus": str(len(minus))}
    return _kept(task.name, AestheticEmbedding(vector, task.clip, {**metadata, "name": task.name}))


def _import(task: ImportTask, file: bytes) -> Steps:
    # The key's suffix is the one that was checked; older versions kept nothing else of the name.
    vector, metadata = import_vector(file, task.filename or PurePath(task.file).name)
    if metadata.get("clip", task.clip) != task.clip:
        raise ClipMismatchError(f"the file was made by {metadata['clip']}, and is imported for {task.clip}")
    known: Tensor = yield EmbedText(task.clip, "")  # only to learn how long the CLIP's embeddings are
    ours: dict[str, str] = {
        key: metadata[key] for key in ("made_from", "normalize", "pictures", "minus") if key in metadata
    }
    embedding = AestheticEmbedding(vector, task.clip, {"made_from": "import", **ours, "name": task.name})
    require_clip(embedding, task.clip, name=task.name, width=known.shape[-1])
    return _kept(task.name, embedding)


def _kept(name: str, embedding: AestheticEmbedding) -> Done:
    file = to_file(embedding)
    return Done(describe(file, name), name, file)


def _scores(task: ScoreTask, pictures: tuple[StoredPicture, ...]) -> Steps:
    target: Tensor | None = None
    if task.prompt is not None:
        yield from note_cut({Measure("clip", task.clip, task.prompt): "the prompt"})
        target = yield EmbedText(task.clip, task.prompt)
    scores = []
    for number, picture in enumerate(pictures):
        sight = yield from _sight(task.clip, picture, number)
        clip_score = None
        if target is not None:
            clip_score = round(float((F.normalize(sight.embedding, dim=-1) * target).sum()), 4)
        aesthetic = None if sight.aesthetic_score is None else round(sight.aesthetic_score, 4)
        scores.append(PictureScore(clip_score=clip_score, aesthetic_score=aesthetic))
        yield Stepped()
    return Done(Scores(clip=task.clip, pictures=tuple(scores)))


def _place(task: QueryTask, pictures: tuple[StoredPicture, ...]) -> Steps:
    if task.text is not None:
        yield from note_cut({Measure("clip", task.clip, task.text): "the text"})
        row: Tensor = yield EmbedText(task.clip, task.text)
    else:
        (row,) = yield from _look(task.clip, pictures)
    return Done(Place(clip=task.clip, vector=tuple(F.normalize(row[0], dim=0).tolist())))


def _look(clip: str, pictures: tuple[StoredPicture, ...]) -> Generator[Call, Any, list[Tensor]]:
    rows = []
    for number, picture in enumerate(pictures):
        sight = yield from _sight(clip, picture, number)
        rows.append(sight.embedding)
        yield Stepped()
    return rows


def _sight(clip: str, picture: StoredPicture, number: int) -> Generator[Call, Any, Sight]:
    """One picture is in memory at a time, however many a task has."""
    pixels: Tensor = yield Fetch(picture.read)
    sight: Sight = yield Look(clip, pixels)
    after = f"scoring by {clip}"
    require_finite(sight.embedding, f"the embedding of picture {number}", after=after)
    require_finite(sight.aesthetic_score, f"the aesthetic score of picture {number}", after=after)
    return sight
