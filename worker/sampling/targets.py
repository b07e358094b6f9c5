"""What a request's objectives come to for one picture: who judges it, and by what."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from jobs.requests.guidance import ResolvedGuidance
from jobs.requests.objectives import (
    AestheticObjective,
    EmbeddingObjective,
    ImageObjective,
    PixelObjective,
    TextObjective,
)
from worker.aesthetics.embeddings import AestheticEmbedding, require_clip
from worker.calls import Call, EmbedImage, EmbedText, InputSize, Predictor
from worker.guidance.objectives import Liked, Near


@dataclass(frozen=True)
class Aim:
    """What a request's objectives come to for one picture: made once, before the first step."""

    judges: dict[int, Near | Liked]  # of the objectives that a CLIP judges
    px: dict[str, int]  # input width of each of these CLIPs


def take_aim(
    guidance: ResolvedGuidance, tastes: Mapping[str, AestheticEmbedding], prompts: Mapping[str, Tensor]
) -> Generator[Call, Any, Aim]:
    """Embed all prompts.

    Args:
        guidance: what was asked for.
        tastes: the aesthetic embeddings that it names, by their digests.
        prompts: the pictures that it names, as ``read_prompts`` gives them.

    Raises:
        ClipMismatchError: an embedding is not of the CLIP that is to judge by it.
    """
    judges: dict[int, Near | Liked] = {}
    px: dict[str, int] = {}
    for index, objective in enumerate(guidance.objectives):
        if isinstance(objective, PixelObjective):
            continue
        clip = objective.clip or guidance.clip
        if clip not in px:
            px[clip] = yield InputSize(clip)
        match objective:
            case AestheticObjective():
                judges[index] = Liked((yield Predictor(clip)))
            case EmbeddingObjective():
                taste = tastes[objective.digest or ""]
                require_clip(taste, clip, name=objective.embedding)
                judges[index] = Near(taste.direction[None])
            case ImageObjective():
                judges[index] = Near((yield EmbedImage(clip, prompts[objective.image] / 255)))
            case TextObjective():
                judges[index] = Near((yield EmbedText(clip, objective.text)))
    return Aim(judges, px)
