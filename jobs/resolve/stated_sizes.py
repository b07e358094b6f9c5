"""Resolve the sizes that a request states to its model."""

from jobs.catalog.catalog import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.conditions.sizes import ResolvedStatedSizes, StatedSizes


def resolve_sizes(asked: StatedSizes | None, card: ModelCard) -> ResolvedStatedSizes | None:
    """The stated sizes; None for those that are drawn.

    Raises:
        InvalidRequestError: the model is told none.
    """
    if asked is None:
        return None
    if not card.family.is_told_sizes:
        raise InvalidRequestError(
            f"model {card.id!r} is of the family {card.family}, which is told no sizes; leave sizes out",
            field="sizes",
        )
    return ResolvedStatedSizes.model_validate(asked.model_dump())
