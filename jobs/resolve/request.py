"""Resolve a request: fill in every default, and refuse a request that its model cannot serve."""

import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.enlarging import ResolvedUpscale
from jobs.requests.pictures import PictureFacts
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.start.mask import Area, ResolvedMask
from jobs.requests.start.outpaint import ResolvedOutpaint
from jobs.requests.start.plan import StepPlan
from jobs.requests.start.seeds import MAX_SEED, ResolvedVariation
from jobs.resolve.aesthetics import resolve_personalization, resolve_selection
from jobs.resolve.conditions.adapters import resolve_adapters
from jobs.resolve.conditions.controls import resolve_controls
from jobs.resolve.conditions.edit import resolve_edit
from jobs.resolve.conditions.families import resolve_refiner, resolve_sizes
from jobs.resolve.conditions.image_prompts import resolve_image_prompts
from jobs.resolve.conditions.resampling import resolve_resampling
from jobs.resolve.conditions.texts import with_default_guidance
from jobs.resolve.guidance import require_classifier_free_guidance, resolve_guidance
from jobs.resolve.hires import resolve_hires
from jobs.resolve.init import resolve_init
from jobs.resolve.limits import NO_LIMITS, Limits
from jobs.resolve.mask import resolve_mask
from jobs.resolve.outpaint import resolve_outpaint
from jobs.resolve.prompt import resolve_prompt
from jobs.resolve.sampling import resolve_sampling
from jobs.resolve.size import Size, resolve_size
from jobs.storage.embeddings import EmbeddingLibrary

NO_PICTURES: Mapping[str, PictureFacts] = MappingProxyType({})


def resolve(
    request: GenerateRequest,
    catalog: Catalog,
    library: EmbeddingLibrary | None = None,
    limits: Limits = NO_LIMITS,
    pictures: Mapping[str, PictureFacts] = NO_PICTURES,
) -> ResolvedRequest:
    """The request with every default and the seed filled in.

    Args:
        request: of the caller.
        catalog: the models.
        library: the aesthetic embeddings; without it, none is known.
        limits: of every job.
        pictures: what is known of those that the request names; nothing before they are read.

    Raises:
        UnknownModelError: the catalog does not hold the model or a CLIP.
        InvalidRequestError: the model does not support this, an embedding does not exist, or a limit is exceeded.
        ClipMismatchError: the embedding is not of the CLIP that the model's text encoder belongs to.
        NoImageTowerError: the model's text encoder belongs to no CLIP.
        OSError: the artifact store, which holds the embeddings, cannot be reached.
    """
    card = catalog.model(request.model)
    request = with_default_guidance(request, card)
    resolved = _with_defaults(request, card, catalog, library, limits, pictures)
    require_classifier_free_guidance(resolved.guidance, resolved)
    limits.check_cost(resolved, card)
    return resolved


def _with_defaults(
    request: GenerateRequest,
    card: ModelCard,
    catalog: Catalog,
    library: EmbeddingLibrary | None,
    limits: Limits,
    pictures: Mapping[str, PictureFacts],
) -> ResolvedRequest:
    prompt = resolve_prompt(request, card)
    num_images = _num_images(request)
    sampler, schedule = resolve_sampling(request, card)
    init = resolve_init(request.init, prompt.steps)
    plan = StepPlan(prompt.steps) if init is None else init.plan
    outpaint = resolve_outpaint(request, card, pictures)
    mask = resolve_mask(request.mask, request.init, pictures, grows=outpaint is not None)
    width, height = resolve_size(request, card, _like(request, mask, outpaint, pictures))
    guidance = resolve_guidance(request, prompt.words, card, plan, catalog, library)
    resample = resolve_resampling(request, prompt.words, card, sampler, plan, catalog)
    return ResolvedRequest(
        **prompt.model_dump(),
        model=card.id,
        width=width,
        height=height,
        seed=_seed(request.seed, 1 if request.variation else num_images, "seed"),
        num_images=num_images,
        sampler=sampler,
        schedule=schedule,
        guidance=guidance,
        init=init,
        mask=mask,
        outpaint=outpaint,
        hires=resolve_hires(request.hires, card, (width, height), prompt.steps, mask),
        variation=_variation(request, num_images),
        personalization=resolve_personalization(request.personalization, card, catalog, library),
        select=resolve_selection(request.select, catalog, guidance, resample),
        timeout_s=limits.timeout_of(request),
        edit=resolve_edit(request, card, catalog, mask),
        **_conditions(request, card, catalog, prompt.steps),
        **_as_asked(request, card),
    )


def _as_asked(request: GenerateRequest, card: ModelCard) -> dict[str, Any]:
    """The fields that need nothing but a default."""
    rescale = request.guidance_rescale
    return {
        **request.model_dump(include={"eta", "preview_every_steps", "priority", "labels"}),
        "guidance_rescale": card.guidance_rescale if rescale is None else rescale,
        "upscale": _upscale(request, card),
    }


def _conditions(request: GenerateRequest, card: ModelCard, catalog: Catalog, steps: int) -> dict[str, Any]:
    """What the denoiser is told besides texts."""
    return {
        "adapters": resolve_adapters(request.adapters, card, catalog, steps),
        "controls": resolve_controls(request.controls, card, catalog, steps),
        "image_prompts": resolve_image_prompts(request.image_prompts, card, catalog, steps),
        "sizes": resolve_sizes(request.sizes, card),
        "refiner": resolve_refiner(request.refiner, card, catalog),
    }


def _like(
    request: GenerateRequest,
    mask: ResolvedMask | None,
    outpaint: ResolvedOutpaint | None,
    pictures: Mapping[str, PictureFacts],
) -> Size | None:
    """Width and height of the picture whose shape is drawn; None if only a part of it is, or it is not known."""
    start = request.init or request.edit
    if start is None or (facts := pictures.get(start.image)) is None:
        return None
    if outpaint is not None:
        return outpaint.grown(facts.width, facts.height)
    return None if mask is not None and mask.area is Area.MASKED else (facts.width, facts.height)


def _num_images(request: GenerateRequest) -> int:
    if request.select is None:
        return request.num_images
    if request.num_images not in (1, request.select.candidates):
        raise InvalidRequestError(
            f"select makes {request.select.candidates} candidates; leave num_images out", field="num_images"
        )
    return request.select.candidates


def _variation(request: GenerateRequest, num_images: int) -> ResolvedVariation | None:
    asked = request.variation
    if asked is None:
        return None
    return ResolvedVariation(seed=_seed(asked.seed, num_images, "variation.seed"), strength=asked.strength)


def _seed(asked: int | None, num_images: int, field: str) -> int:
    """The first picture's seed; later pictures count up from it and must not run past the largest."""
    seed = secrets.randbelow(MAX_SEED - num_images) if asked is None else asked
    if seed + num_images - 1 > MAX_SEED:
        raise InvalidRequestError(
            f"{field} {seed} leaves no room for {num_images} pictures: the last one's seed would be over {MAX_SEED}",
            field=field,
        )
    return seed


def _upscale(request: GenerateRequest, card: ModelCard) -> ResolvedUpscale | None:
    if request.upscale is None:
        return None
    return ResolvedUpscale(factor=request.upscale.factor, model=card.upscaler)
