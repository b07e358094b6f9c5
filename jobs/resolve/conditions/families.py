"""Resolve what a request asks of models of some families alone."""

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.conditions.families import FamilyName
from jobs.requests.conditions.refiner import Refiner, ResolvedRefiner
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


def resolve_refiner(asked: Refiner | None, card: ModelCard, catalog: Catalog) -> ResolvedRefiner | None:
    """The refiner; None without one.

    Raises:
        InvalidRequestError: the model has none, or the catalog holds no such one.
    """
    if asked is None:
        return None
    if card.family is not FamilyName.SDXL:
        raise InvalidRequestError(
            f"model {card.id!r} is of the family {card.family}, which has no refiner; leave refiner out",
            field="refiner",
        )
    if card.cfg_embedded:
        raise InvalidRequestError(
            f"model {card.id!r} reads cfg_scale as an input, which no refiner does; leave refiner out",
            field="refiner",
        )
    known = {
        name: each for each in catalog.models for name in each.names if each.family is FamilyName.SDXL_REFINER
    }
    named = known.get(asked.model) if asked.model is not None else next(iter(known.values()), None)
    if named is None:
        have = ", ".join(dict.fromkeys(each.id for each in known.values())) or "none"
        raise InvalidRequestError(
            f"the catalog holds no refiner {asked.model or 'of SDXL'!r}; it holds: {have}",
            field="refiner.model",
        )
    return ResolvedRefiner(model=named.id, switch_at=asked.switch_at)
