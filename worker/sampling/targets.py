"""The losses of a request's objectives, made once for each picture."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from torch.nn import functional as F

from jobs.errors import ModelUnavailableError
from jobs.requests.guidance import ResolvedGuidance
from jobs.requests.objectives import (
    AestheticObjective,
    EmbeddingObjective,
    ImageObjective,
    PixelObjective,
    TextObjective,
)
from worker.aesthetics.embeddings import require_clip
from worker.calls import EmbedImage, EmbedText
from worker.events import Yield
from worker.facts import Facts
from worker.guidance.objectives import AestheticLoss, SphericalLoss
from worker.sampling.inputs import SamplerInputs


@dataclass(frozen=True)
class Targets:
    """The losses of the objectives that CLIPs embed cutouts for."""

    losses: dict[int, SphericalLoss | AestheticLoss]  # by the number of the objective
    px: dict[str, int]  # input width of each CLIP


def embed_targets(
    guidance: ResolvedGuidance, facts: Facts, inputs: SamplerInputs
) -> Generator[Yield, Any, Targets]:
    """Embed the texts and pictures of all objectives.

    Raises:
        ClipMismatchError: an aesthetic embedding is of another CLIP's space than its objective's.
        ModelUnavailableError: an objective needs an aesthetic predictor, and its CLIP has none.
    """
    losses: dict[int, SphericalLoss | AestheticLoss] = {}
    px: dict[str, int] = {}
    for index, objective in enumerate(guidance.objectives):
        if isinstance(objective, PixelObjective):
            continue
        clip = objective.clip or guidance.clip
        px[clip] = facts.clips[clip].px
        match objective:
            case AestheticObjective():
                losses[index] = _aesthetic_loss(clip, facts)
            case EmbeddingObjective():
                embedding = inputs.embeddings[objective.digest or ""]
                require_clip(embedding, clip, name=objective.embedding)
                losses[index] = SphericalLoss(embedding.direction[None])
            case ImageObjective():
                features = yield EmbedImage(clip, inputs.pictures[objective.image] / 255)
                losses[index] = SphericalLoss(F.normalize(features, dim=-1))
            case TextObjective():
                losses[index] = SphericalLoss((yield EmbedText(clip, objective.text)))
    return Targets(losses, px)


def _aesthetic_loss(clip: str, facts: Facts) -> AestheticLoss:
    head = facts.clips[clip].head
    if head is None:
        raise ModelUnavailableError(f"this worker's catalog names no aesthetic head for {clip}")
    return AestheticLoss(head)
