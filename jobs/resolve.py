"""Fill in what a request leaves open, and refuse what its model cannot make."""

import secrets

from jobs.catalog import Catalog, ModelCard
from jobs.errors import InvalidRequestError
from jobs.presets import PRESETS
from jobs.request import MAX_SEED, GenerateRequest, Guidance, ResolvedGuidance, ResolvedRequest


def resolve(request: GenerateRequest, catalog: Catalog) -> ResolvedRequest:
    """The request with every default and the seed filled in.

    Raises:
        UnknownModelError: the model or the CLIP is not in the catalog.
        InvalidRequestError: the model cannot make this size.
    """
    card = catalog.model(request.model)
    width = _size(request.width or card.width, "width", card)
    height = _size(request.height or card.height, "height", card)
    # Later pictures count up from the first one's seed and must not run past the end.
    seed = secrets.randbelow(MAX_SEED - request.images) if request.seed is None else request.seed
    if seed + request.images - 1 > MAX_SEED:
        raise InvalidRequestError(
            f"seed {seed} leaves no room for {request.images} pictures: "
            f"the last one's seed would be over {MAX_SEED}",
            field="seed",
        )
    return ResolvedRequest(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        model=card.id,
        width=width,
        height=height,
        steps=request.steps or card.steps,
        cfg_scale=card.cfg_scale if request.cfg_scale is None else request.cfg_scale,
        sampler=request.sampler or card.sampler,
        seed=seed,
        images=request.images,
        guidance=None
        if request.guidance is None
        else _guidance(request.guidance, request.prompt, card, catalog),
        preview_every=request.preview_every,
        timeout_s=request.timeout_s,
        priority=request.priority,
    )


def _size(value: int, field: str, card: ModelCard) -> int:
    if not card.min_px <= value <= card.max_px:
        raise InvalidRequestError(
            f"{field} {value} is outside what model {card.id!r} can make: {card.min_px} to {card.max_px} px",
            field=field,
        )
    if value % card.multiple_px:
        raise InvalidRequestError(
            f"{field} {value} is not a multiple of {card.multiple_px}, which model {card.id!r} needs",
            field=field,
        )
    return value


def _guidance(guidance: Guidance, prompt: str, card: ModelCard, catalog: Catalog) -> ResolvedGuidance:
    preset = PRESETS[guidance.preset]
    return ResolvedGuidance(
        preset=guidance.preset,
        clip=catalog.clip(guidance.clip or card.clip).id,
        prompt=guidance.prompt or prompt,
        scale=preset.scale if guidance.scale is None else guidance.scale,
        cutouts=guidance.cutouts or preset.cutouts,
    )
