"""Resolve a request: fill in every default, and refuse a request that its model cannot serve."""

import secrets

from jobs.catalog.catalog import Catalog, ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.request import MAX_SEED, GenerateRequest, ResolvedRequest, ResolvedUpscale
from jobs.resolve.aesthetics import resolve_personalization, resolve_selection
from jobs.resolve.guidance import require_classifier_free_guidance, resolve_guidance
from jobs.resolve.limits import NO_LIMITS, Limits
from jobs.resolve.prompt import resolve_prompt
from jobs.resolve.sampling import resolve_sampling
from jobs.storage.embeddings import EmbeddingLibrary


def resolve(
    request: GenerateRequest,
    catalog: Catalog,
    library: EmbeddingLibrary | None = None,
    limits: Limits = NO_LIMITS,
) -> ResolvedRequest:
    """The request with every default and the seed filled in.

    Args:
        request: of the caller.
        catalog: the models.
        library: the aesthetic embeddings; without it, none is known.
        limits: of every job.

    Raises:
        UnknownModelError: the catalog does not hold the model or a CLIP.
        InvalidRequestError: the model does not support this, an embedding does not exist, or a limit is exceeded.
        ClipMismatchError: the embedding is not of the CLIP that the model's text encoder belongs to.
        NoImageTowerError: the model's text encoder belongs to no CLIP.
        OSError: the artifact store, which holds the embeddings, cannot be reached.
    """
    card = catalog.model(request.model)
    prompt = resolve_prompt(request, card)
    num_images = _num_images(request)
    sampler, schedule = resolve_sampling(request, card)
    guidance = resolve_guidance(request, prompt.words, card, catalog, library)
    resolved = ResolvedRequest(
        **prompt.model_dump(),
        model=card.id,
        width=_size(request.width or card.width, "width", card),
        height=_size(request.height or card.height, "height", card),
        seed=_seed(request.seed, num_images),
        num_images=num_images,
        sampler=sampler,
        schedule=schedule,
        eta=request.eta,
        guidance=guidance,
        preview_every_steps=request.preview_every_steps,
        personalization=resolve_personalization(request.personalization, card, catalog, library),
        select=resolve_selection(request.select, catalog, () if guidance is None else guidance.clips),
        upscale=_upscale(request, card),
        timeout_s=limits.timeout_of(request),
        priority=request.priority,
    )
    require_classifier_free_guidance(guidance, resolved.cfg_scale)
    limits.check_cost(resolved, card)
    return resolved


def _num_images(request: GenerateRequest) -> int:
    if request.select is None:
        return request.num_images
    if request.num_images not in (1, request.select.candidates):
        raise InvalidRequestError(
            f"select makes {request.select.candidates} candidates; leave num_images out", field="num_images"
        )
    return request.select.candidates


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


def _seed(asked: int | None, num_images: int) -> int:
    """The first picture's seed; later pictures count up from it and must not run past the largest."""
    seed = secrets.randbelow(MAX_SEED - num_images) if asked is None else asked
    if seed + num_images - 1 > MAX_SEED:
        raise InvalidRequestError(
            f"seed {seed} leaves no room for {num_images} pictures: the last one's seed would be over {MAX_SEED}",
            field="seed",
        )
    return seed


def _upscale(request: GenerateRequest, card: ModelCard) -> ResolvedUpscale | None:
    if request.upscale is None:
        return None
    return ResolvedUpscale(factor=request.upscale.factor, model=card.upscaler)
