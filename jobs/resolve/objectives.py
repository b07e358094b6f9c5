"""Resolve the objectives of guidance: fill in the defaults, and refuse an objective that no CLIP can measure."""

from jobs.catalog.catalog import Catalog
from jobs.errors import ClipMismatchError, InvalidRequestError, UnknownEmbeddingError
from jobs.requests.embeddings import EmbeddingInfo
from jobs.requests.guidance import Guidance
from jobs.requests.objectives import (
    AestheticObjective,
    EmbeddingObjective,
    Objective,
    PixelObjective,
    TextObjective,
)
from jobs.requests.presets import GuidancePreset
from jobs.storage.embeddings import EmbeddingLibrary


def resolve_objectives(
    guidance: Guidance,
    preset: GuidancePreset,
    prompt: str,
    clip: str,
    catalog: Catalog,
    library: EmbeddingLibrary | None,
) -> tuple[Objective, ...]:
    """The objectives asked for, each with its CLIP; by default the prompt and the preset's regularizers.

    Args:
        guidance: of the request.
        preset: of that name.
        prompt: of the request.
        clip: id of the guidance CLIP.
        catalog: the CLIPs.
        library: the aesthetic embeddings; without it, none is known.

    Raises:
        UnknownModelError: the catalog does not hold a CLIP that is named.
        InvalidRequestError: a CLIP has no aesthetic head, or an embedding does not exist or has changed.
        ClipMismatchError: an embedding was made by another CLIP than the one named.
    """
    if guidance.objectives is None:
        text = TextObjective(type="text", text=guidance.prompt or prompt, clip=clip)
        return (text, *regularizers_of(preset))
    return tuple(
        _resolve(objective, f"guidance.objectives.{index}", clip, catalog, library)
        for index, objective in enumerate(guidance.objectives)
    )


def regularizers_of(preset: GuidancePreset) -> tuple[PixelObjective, ...]:
    """A preset's objectives besides the prompt."""
    return tuple(PixelObjective(type=name, weight=weight) for name, weight in preset.regularizers)


def _resolve(
    objective: Objective, field: str, clip: str, catalog: Catalog, library: EmbeddingLibrary | None
) -> Objective:
    if isinstance(objective, PixelObjective):
        return objective
    named = None if objective.clip is None else _known_clip(objective.clip, f"{field}.clip", catalog)
    if isinstance(objective, AestheticObjective):
        return objective.model_copy(update={"clip": _with_head(named, field, clip, catalog)})
    if isinstance(objective, EmbeddingObjective):
        known = find_embedding(objective.embedding, library, f"{field}.embedding")
        if known.clip != (named or known.clip):
            raise ClipMismatchError(
                f"the embedding {known.name!r} was made by {known.clip}, and {named} is asked to compare with it",
                field=f"{field}.clip",
            )
        if objective.digest not in {None, known.digest}:
            raise InvalidRequestError(
                f"the embedding {known.name!r} is another one by now: its digest is {known.digest}",
                field=f"{field}.digest",
            )
        maker = _known_clip(known.clip, f"{field}.embedding", catalog)
        return objective.model_copy(update={"clip": maker, "digest": known.digest})
    return objective.model_copy(update={"clip": named or clip})


def find_embedding(name: str, library: EmbeddingLibrary | None, field: str) -> EmbeddingInfo:
    """The embedding that a field of a request names.

    Raises:
        InvalidRequestError: there is none of this name. (``UnknownEmbeddingError`` is of a path.)
    """
    try:
        if library is None:
            raise UnknownEmbeddingError(f"there is no aesthetic embedding {name!r}")
        return library.get(name)
    except UnknownEmbeddingError as error:
        raise InvalidRequestError(error.message, field=field) from error


def _known_clip(clip_id: str, field: str, catalog: Catalog) -> str:
    return catalog.clip(clip_id, field).id


def _with_head(named: str | None, field: str, guidance_clip: str, catalog: Catalog) -> str:
    """The CLIP whose aesthetic head counts: the named one, else the guidance CLIP's, else the aesthetic scorer's."""
    for candidate in (named,) if named else (guidance_clip, catalog.aesthetic_scorer.id):
        if catalog.clip(candidate).head is not None:
            return candidate
    raise InvalidRequestError(
        f"the CLIP {named!r} has no aesthetic head"
        if named
        else "no CLIP of the catalog has an aesthetic head",
        field=f"{field}.clip" if named else field,
    )
