"""The sizes that a denoiser is told of the picture that it draws, for those that read any."""

import torch
from torch import Tensor

from jobs.requests.conditions.sizes import ResolvedExtent, ResolvedStatedSizes
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.plan import Pass
from worker.facts import ModelFacts
from worker.sampling.conditions.conditioning import Conditions


def sized(conditions: Conditions, request: ResolvedRequest, model: ModelFacts, part: Pass) -> Conditions:
    """Conditions with the sizes of a pass in their rows, after the pooled text.

    Args:
        conditions: of the run.
        request: of the picture.
        model: that draws it.
        part: the pass; its size is what the request does not state.
    """
    if not model.row.size_ids:
        return conditions
    stated, drawn = (
        request.sizes or ResolvedStatedSizes(),
        ResolvedExtent(width=part.width, height=part.height),
    )
    return conditions.told(_ids(stated, drawn).to(model.device))


def _ids(stated: ResolvedStatedSizes, drawn: ResolvedExtent) -> Tensor:
    """SDXL's six numbers [1, 6], height before width (Podell et al. 2023, sec. 2.2)."""
    original, crop, target = stated.original or drawn, stated.crop, stated.target or drawn
    ids = [original.height, original.width, crop.top, crop.left, target.height, target.width]
    return torch.tensor([ids], dtype=torch.float32)
