"""The sizes that a denoiser is told of the picture that it draws, for those that read any."""

import torch
from torch import Tensor

from jobs.requests.conditions.sizes import ResolvedExtent, ResolvedStatedSizes
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.plan import Pass
from worker.facts import ModelFacts
from worker.sampling.conditions.conditioning import Conditions

# Aesthetic scores that SDXL's refiner is told, of what is wanted and of what is not: diffusers' defaults.
WANTED_SCORE, UNWANTED_SCORE = 6.0, 2.5


def sized(conditions: Conditions, request: ResolvedRequest, model: ModelFacts, part: Pass) -> Conditions:
    """Conditions with the sizes of a pass in their rows, after the pooled text.

    Args:
        conditions: of the run; the negative prompt's row is the last, if there is one.
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
    original, crop, target = stated.original or drawn, stated.crop, stated.target or drawn
    # Height before width (Podell et al. 2023, sec. 2.2).
    before = [original.height, original.width, crop.top, crop.left]
    if model.row.tells_score:
        scores = WANTED_SCORE, UNWANTED_SCORE if request.negative_weights else WANTED_SCORE
        wanted, last = (_numbers(*before, score).to(model.device) for score in scores)
    else:
        wanted = last = _numbers(*before, target.height, target.width).to(model.device)
    return conditions.told(wanted, last)


def _numbers(*numbers: float) -> Tensor:
    return torch.tensor([numbers], dtype=torch.float32)
