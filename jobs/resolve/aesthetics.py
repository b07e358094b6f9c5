"""Resolve a request's personalization and selection: fill in the defaults, check the rest."""

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import ClipMismatchError, InvalidRequestError, NoImageTowerError
from jobs.requests.guidance import ResolvedGuidance
from jobs.requests.personalization import Personalization, ResolvedPersonalization
from jobs.requests.selection import ResolvedResampling, ResolvedSelection, Selection, Weights
from jobs.resolve.objectives import find_embedding
from jobs.storage.embeddings import EmbeddingLibrary


def text_clip(card: ModelCard, field: str = "personalization") -> str:
    """Id of the CLIP that a model's text encoder belongs to.

    Raises:
        NoImageTowerError: the catalog names none.
    """
    if card.text_clip is None:
        raise NoImageTowerError(
            f"model {card.id!r} cannot be personalized: the catalog names no CLIP (text_clip) that its text encoder "
            "belongs to, and without its image tower there is nothing to compare pictures with",
            field=field,
        )
    return card.text_clip


def resolve_personalization(
    asked: Personalization | None, card: ModelCard, catalog: Catalog, library: EmbeddingLibrary | None
) -> ResolvedPersonalization | None:
    """Personalization with the embedding's digest; None if none was asked for.

    Raises:
        NoImageTowerError: the model's text encoder belongs to no CLIP of the catalog.
        InvalidRequestError: there is no embedding of this name.
        ClipMismatchError: it was made by another CLIP.
    """
    if asked is None:
        return None
    clip = catalog.clip(text_clip(card)).id
    field = "personalization.embedding"
    known = find_embedding(asked.embedding, library, field)
    if known.clip != clip:
        raise ClipMismatchError(
            f"the embedding {known.name!r} was made by {known.clip}, and the text encoder of model {card.id!r} "
            f"belongs to {clip}",
            field=field,
        )
    return ResolvedPersonalization(
        embedding=known.name,
        digest=known.digest,
        steps=asked.steps,
        lr=card.personalization_lr if asked.lr is None else asked.lr,
        weight=asked.weight,
        blend=asked.blend,
        text=asked.text,
        text_angle=asked.text_angle if asked.text else 0.0,
        text_negative=asked.text_negative and asked.text is not None,
    )


def resolve_selection(
    asked: Selection | None,
    catalog: Catalog,
    guidance: ResolvedGuidance | None = None,
    resample: ResolvedResampling | None = None,
) -> ResolvedSelection | None:
    """Selection with its scorer; None if none was asked for.

    Args:
        asked: how to select.
        catalog: the CLIPs.
        guidance: of the candidates; None without.
        resample: how the candidates are drawn anew; its CLIP steers them too.

    Raises:
        InvalidRequestError: the scorer guides, or the catalog holds nothing to score with.
        UnknownModelError: the catalog does not hold the scorer.
    """
    if asked is None:
        return None
    guides = {*(guidance.clips if guidance else ()), *((resample.clip,) if resample else ())}
    by = asked.by if isinstance(asked.by, Weights) else Weights(**{asked.by: 1.0})
    if by.aesthetic and catalog.aesthetic_scorer.head is None:
        raise InvalidRequestError(
            "no CLIP of the catalog has an aesthetic head to choose by", field="select.by"
        )
    if asked.scorer is None:
        others = [clip.id for clip in catalog.clips if clip.id not in guides]
        if not others:
            raise InvalidRequestError(
                "the catalog holds no CLIP besides those that guide", field="select.scorer"
            )
        return ResolvedSelection(keep=asked.keep, by=by, scorer=others[0], resample=resample)
    scorer = catalog.clip(asked.scorer, "select.scorer").id
    if scorer in guides:
        raise InvalidRequestError(
            f"{scorer!r} guides these pictures and would score its own work", field="select.scorer"
        )
    return ResolvedSelection(keep=asked.keep, by=by, scorer=scorer, resample=resample)
