"""Resolve a request's image prompts: fill in the defaults, and refuse those that are not for its model."""

from collections.abc import Sequence

from jobs.catalog.catalog import Catalog, ModelCard
from jobs.catalog.image_prompts import ImagePromptCard
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
        InvalidRequestError: the catalog does not hold an adapter, or none for this model; or a picture counts in no
            step.
    """
    resolved = []
    for number, prompt in enumerate(asked):
        field = f"image_prompts.{number}"
        known = _known(prompt, f"{field}.adapter", card, catalog)
        weight = known.weight if prompt.weight is None else prompt.weight
        given = prompt.model_dump(exclude={"adapter", "weight"})
        resolved.append(ResolvedImagePrompt(**given, adapter=known.id, weight=weight))
        require_a_step(resolved[-1], steps, field)
    return tuple(resolved)


def _known(asked: ImagePrompt, field: str, card: ModelCard, catalog: Catalog) -> ImagePromptCard:
    fitting = catalog.image_prompts_of(card)
    if asked.adapter is None:
        if not fitting:
            raise InvalidRequestError(
                f"the catalog has no adapter that tells model {card.id!r} of pictures", field=field
            )
        return fitting[0]
    return made_for(card, catalog.image_prompt, fitting, asked.adapter, "image prompt adapter", field)
