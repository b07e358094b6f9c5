"""Resolve a request's image prompts: fill in the defaults, and refuse those that are not for its model."""

from collections.abc import Sequence

from jobs.catalog.catalog import Catalog
from jobs.catalog.image_prompts import ImagePromptCard
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.conditions.image_prompts import ImagePrompt, ResolvedImagePrompt
from jobs.resolve.conditions.made_for import made_for
from jobs.resolve.conditions.windows import require_a_step


def resolve_image_prompts(
    asked: Sequence[ImagePrompt], card: ModelCard, catalog: Catalog, steps: int
) -> tuple[ResolvedImagePrompt, ...]:
    """The image prompts of a request.

    Args:
        asked: of the caller.
        card: of the request's model.
        catalog: the adapters.
        steps: of the request, with its default.

    Raises:
        InvalidRequestError: the catalog does not hold an adapter, or none for this model; a picture counts in no step;
            or noise is asked for where there is none, or of several levels.
    """
    resolved = []
    for number, prompt in enumerate(asked):
        field = f"image_prompts.{number}"
        own_weight, adapter = 1.0, None
        if not _is_read_by_the_model(prompt, card):
            known = _known(prompt, f"{field}.adapter", card, catalog)
            own_weight, adapter = known.weight, known.id
            _require_no_noise(prompt, card, field)
        weight = own_weight if prompt.weight is None else prompt.weight
        given = prompt.model_dump(exclude={"adapter", "weight"})
        resolved.append(ResolvedImagePrompt(**given, adapter=adapter, weight=weight))
        require_a_step(resolved[-1], steps, field)
    _require_one_level(resolved)
    return tuple(resolved)


def _is_read_by_the_model(asked: ImagePrompt, card: ModelCard) -> bool:
    return asked.adapter is None and card.family.is_told_pictures


def _require_no_noise(asked: ImagePrompt, card: ModelCard, field: str) -> None:
    if not asked.noise_level:
        return
    why = (
        "an adapter reads the picture, and noise is added to those that the model reads"
        if card.family.is_told_pictures
        else f"model {card.id!r} is of the family {card.family}, and noise is added to pictures for unclip"
    )
    raise InvalidRequestError(f"{why}; leave noise_level out", field=f"{field}.noise_level")


def _require_one_level(prompts: Sequence[ResolvedImagePrompt]) -> None:
    """Refuse several levels for pictures that become one embedding."""
    levels = [(number, each.noise_level) for number, each in enumerate(prompts) if each.adapter is None]
    for number, level in levels[1:]:
        if level != levels[0][1]:
            raise InvalidRequestError(
                f"the model reads its pictures as one, with one noise_level: {levels[0][1]}, not {level}",
                field=f"image_prompts.{number}.noise_level",
            )


def _known(asked: ImagePrompt, field: str, card: ModelCard, catalog: Catalog) -> ImagePromptCard:
    fitting = catalog.image_prompts_of(card)
    if asked.adapter is None:
        if not fitting:
            raise InvalidRequestError(
                f"the catalog has no adapter that tells model {card.id!r} of pictures", field=field
            )
        return fitting[0]
    return made_for(card, catalog.image_prompt, fitting, asked.adapter, "image prompt adapter", field)
