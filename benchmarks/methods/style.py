"""Drawings of one style, the aesthetic embedding of them, and pictures generated with it by the worker's engine."""

import queue
import threading
from collections.abc import Sequence

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional as F

from jobs.requests.personalization import ResolvedPersonalization
from jobs.requests.request import ResolvedRequest
from training import glyphs
from training.captions import compose, random_colour
from training.settings import work_folder
from worker.aesthetics.embeddings import AestheticEmbedding, mean_embedding
from worker.engine.engine import Engine
from worker.engine.runner import Runner
from worker.engine.work import Finished, Outcome, Work
from worker.models.clip import ClipModel
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs
from worker.pictures.picture import Picture

EMBEDDED = 512  # drawings that an embedding averages, at most


def drawings(style: str, *, held_out: bool) -> Tensor:
    """Drawings [N, 3, 64, 64] in [0, 1] of one style: every fifth name is held out, the rest are not.

    The backgrounds have all colours, so that the drawings share the style and not a white background.
    """
    rgba, rows = glyphs.load(work_folder())
    ours = [index for index, glyph in enumerate(rows) if glyph.style == style]
    chosen = [index for place, index in enumerate(ours) if (place % 5 == 0) == held_out]
    rng = np.random.default_rng(0)
    composed = [compose(rgba[index], random_colour(rng), rng) for index in chosen]
    return torch.from_numpy(np.stack(composed)) / 2 + 0.5


def embedded_drawings(style: str) -> Tensor:
    """The drawings [N, 3, 64, 64] that a style's embedding averages."""
    return drawings(style, held_out=False)[:EMBEDDED]


def style_embedding(
    models: ModelRegistry, style: str, clip: str, *, minus_others: bool = False
) -> AestheticEmbedding:
    """The mean image embedding of a style's drawings, less that of the other styles' if asked."""
    vector = _mean(models, [style], clip)
    if minus_others:
        vector = vector - _mean(models, [other for other in glyphs.STYLES if other != style], clip)
    return AestheticEmbedding(vector, clip, {})


def _mean(models: ModelRegistry, styles: Sequence[str], clip: str) -> Tensor:
    pictures = torch.cat([embedded_drawings(style)[: EMBEDDED // len(styles)] for style in styles])
    rows = [models.clip(clip).project_pictures(part) for part in pictures.split(64)]
    return mean_embedding(torch.cat(rows), normalize=True)


def towards(embedding: AestheticEmbedding, steps: int, lr: float) -> ResolvedPersonalization:
    """Aesthetic gradients at the published defaults, except for the steps and the learning rate."""
    return ResolvedPersonalization(
        embedding="style",
        digest=embedding.digest,
        steps=steps,
        lr=lr,
        weight=1.0,
        blend="lerp",
        text=None,
        text_angle=0.0,
        text_negative=False,
    )


def make(
    models: ModelRegistry, requests: Sequence[ResolvedRequest], embedding: AestheticEmbedding | None = None
) -> list[tuple[Picture, ...]]:
    """Generate the pictures of all requests, batched as in a worker."""
    outcomes: queue.SimpleQueue[tuple[Work, Outcome]] = queue.SimpleQueue()
    engine = Engine(Runner(models), lambda work, outcome: outcomes.put((work, outcome)))
    for number, request in enumerate(requests):
        engine.admit(
            Work(str(number), request, Inputs(embeddings={embedding.digest: embedding} if embedding else {}))
        )
    thread = threading.Thread(target=engine.serve)
    thread.start()
    made: dict[int, tuple[Picture, ...]] = {}
    try:
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("generating", total=len(requests))
            while len(made) < len(requests):
                work, outcome = outcomes.get()
                if not isinstance(outcome, Finished):
                    raise RuntimeError(f"{work.request}: {outcome}")
                made[int(work.id)] = outcome.pictures
                progress.advance(task)
    finally:
        engine.close()
        thread.join()
    return [made[number] for number in range(len(requests))]


def embed(clip: ClipModel, pictures: Sequence[Tensor] | Tensor) -> Tensor:
    """Image embeddings [N, E] of unit length."""
    parts = torch.stack(list(pictures)).split(64)
    return F.normalize(torch.cat([clip.project_pictures(part) for part in parts]), dim=-1)
