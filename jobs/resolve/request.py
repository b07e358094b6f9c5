"""Fill in what a request leaves open, and refuse what its model cannot make."""

import secrets

from jobs.catalog.catalog import Catalog, ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.guidance import MAX_CUTOUTS, Guidance, ResolvedGuidance
from jobs.requests.presets import PRESETS
from jobs.requests.request import MAX_SEED, GenerateRequest, ResolvedRequest, ResolvedUpscale
from jobs.requests.schedules import most_cuts
from jobs.requests.selection import Weights
from jobs.resolve.aesthetics import resolve_personalization, resolve_selection
from jobs.resolve.limits import NO_LIMITS, Limits
from jobs.resolve.objectives import resolve_objectives
from jobs.resolve.sampling import resolve_sampling
from jobs.storage.embeddings import EmbeddingLibrary

# What a request may change of a preset: its numbers, never its convention.
OVERRIDABLE = (
    "scale",
    "rho",
    "mu",
    "clamp",
    "start",
    "end",
    "last_step",
    "stride",
    "reuse",
    "patience",
    "recurrences",
    "iterations",
    "smoothing",
    "smoothing_samples",
    "overview_cuts",
    "inner_cuts",
    "cut_pow",
    "stratified",
    "decoder",
)


def resolve(
    request: GenerateRequest,
    catalog: Catalog,
    library: EmbeddingLibrary | None = None,
    limits: Limits = NO_LIMITS,
) -> ResolvedRequest:
    """The request with every default and the seed filled in.

    Args:
        request: what is asked for.
        catalog: the models.
        library: the aesthetic embeddings; without it, none is known.
        limits: of every job.

    Raises:
        UnknownModelError: the model or the CLIP is not in the catalog.
        InvalidRequestError: the model cannot make this size, or the job would take longer or cost more than any may.
        UnknownEmbeddingError: there is no aesthetic embedding of this name.
        ClipMismatchError: the embedding is not of the CLIP that the model's text encoder belongs to.
        NoImageTowerError: the model's text encoder belongs to none.
        OSError: the artifact store, which holds the embeddings, cannot be reached.
    """
    _require_words(request)
    card = catalog.model(request.model)
    images = _images(request)
    steps = request.steps or card.steps
    guidance = None
    if request.guidance is not None:
        guidance = _guidance(request.guidance, request.prompt, card, catalog, library)
        _require_a_guided_step(guidance, steps, request.guidance)
    width = _size(request.width or card.width, "width", card)
    height = _size(request.height or card.height, "height", card)
    # Later pictures count up from the first one's seed and must not run past the end.
    seed = secrets.randbelow(MAX_SEED - images) if request.seed is None else request.seed
    if seed + images - 1 > MAX_SEED:
        raise InvalidRequestError(
            f"seed {seed} leaves no room for {images} pictures: the last one's seed would be over {MAX_SEED}",
            field="seed",
        )
    cfg_scale = card.cfg_scale if request.cfg_scale is None else request.cfg_scale
    if (
        request.guidance is not None
        and PRESETS[request.guidance.preset].normalize == "cfg"
        and cfg_scale == 1
    ):
        raise InvalidRequestError(
            f"preset {request.guidance.preset!r} takes steps as long as those of classifier-free guidance, "
            "of which a cfg_scale of 1 has none",
            field="cfg_scale",
        )
    sampler, schedule = resolve_sampling(request, card)
    resolved = ResolvedRequest(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        model=card.id,
        width=width,
        height=height,
        steps=steps,
        cfg_scale=cfg_scale,
        sampler=sampler,
        schedule=schedule,
        eta=request.eta,
        seed=seed,
        num_images=images,
        guidance=guidance,
        preview_every_steps=request.preview_every_steps,
        personalization=None
        if request.personalization is None
        else resolve_personalization(request.personalization, card, catalog, library),
        select=None
        if request.select is None
        else resolve_selection(request.select, catalog, () if guidance is None else guidance.clips),
        upscale=None
        if request.upscale is None
        else ResolvedUpscale(factor=request.upscale.factor, model=card.upscaler),
        timeout_s=limits.timeout_of(request),
        priority=request.priority,
    )
    limits.check_cost(resolved, card)
    return resolved


def _require_words(request: GenerateRequest) -> None:
    """Refuse to compare pictures with an empty prompt, of which each is as good as any other."""
    if request.prompt.strip():
        return
    guidance, select = request.guidance, request.select
    if guidance is not None and guidance.objectives is None and not (guidance.prompt or "").strip():
        raise InvalidRequestError(
            "the prompt is empty, so guidance has nothing to pull towards; give guidance.prompt or guidance.objectives",
            field="guidance.prompt",
        )
    if select is not None and (select.by == "clip" or (isinstance(select.by, Weights) and select.by.clip)):
        raise InvalidRequestError(
            "the prompt is empty, so no candidate is more like it than another; choose by aesthetic",
            field="select.by",
        )


def _images(request: GenerateRequest) -> int:
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


def _guidance(
    guidance: Guidance, prompt: str, card: ModelCard, catalog: Catalog, library: EmbeddingLibrary | None
) -> ResolvedGuidance:
    preset = PRESETS[guidance.preset]
    clip = catalog.clip(guidance.clip or card.clip).id
    numbers = {
        name: getattr(preset, name) if (given := getattr(guidance, name)) is None else given
        for name in OVERRIDABLE
    }
    if numbers["start"] >= numbers["end"]:
        raise InvalidRequestError(
            f"guidance would start at {numbers['start']:g} of the run and end at {numbers['end']:g}",
            field="guidance.start" if guidance.start is not None else "guidance.end",  # what the caller chose
        )
    try:
        most = most_cuts(numbers["overview_cuts"], numbers["inner_cuts"])
    except ValueError as error:
        raise InvalidRequestError(str(error), field="guidance.overview_cuts") from error
    if most > MAX_CUTOUTS:
        raise InvalidRequestError(
            f"overview_cuts and inner_cuts add up to {most} views; a step may have {MAX_CUTOUTS}",
            field="guidance.overview_cuts",
        )
    return ResolvedGuidance(
        preset=guidance.preset,
        clip=clip,
        objectives=resolve_objectives(guidance, preset, prompt, clip, catalog, library),
        cutouts=guidance.cutouts or most,
        trace=guidance.trace,
        **numbers,
    )


def _require_a_guided_step(guidance: ResolvedGuidance, steps: int, asked: Guidance) -> None:
    """Refuse guidance that would do nothing although its scale is not zero."""
    if guidance.window(steps) or not guidance.scale:
        return
    chosen = next((name for name in ("start", "end") if getattr(asked, name) is not None), None)
    spared = "" if guidance.last_step else ", the last one spared"
    raise InvalidRequestError(
        f"none of {steps} steps would be guided by preset {guidance.preset!r} "
        f"from {guidance.start:g} to {guidance.end:g} of the run{spared}",
        field=f"guidance.{chosen}" if chosen else "steps",
    )
