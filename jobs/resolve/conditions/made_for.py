"""Finds what goes beside a model in the catalog, and refuses what is made for another."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from jobs.catalog.entry import MadeForModels
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError, UnknownModelError

Card = TypeVar("Card", bound=MadeForModels)


def made_for(
    model: ModelCard, find: Callable[[str], Card], fitting: Sequence[Card], wanted: str, what: str, field: str
) -> Card:
    """The entry of a name, which is made for a model or for any.

    Args:
        model: of the request.
        find: an entry of the catalog by its name.
        fitting: those that are made for the model.
        wanted: its name.
        what: it is, for the error.
        field: of the request, likewise.

    Raises:
        InvalidRequestError: the catalog does not hold it, or it is made for other models.
    """
    try:
        known = find(wanted)
    except UnknownModelError as error:
        raise InvalidRequestError(error.message, field=field) from error
    if not known.fits(model.names):
        others = ", ".join(each.id for each in fitting) or "none"
        raise InvalidRequestError(
            f"the {what} {known.id!r} is made for {', '.join(known.base)}, not for model {model.id!r}; "
            f"made for that: {others}",
            field=field,
        )
    return known
