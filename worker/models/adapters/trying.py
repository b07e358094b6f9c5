"""Tries what is to be added to the catalog on its models, by their configurations alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import ModelUnavailableError
from worker.models.adapters.delta import Delta
from worker.models.adapters.places import Places
from worker.models.loading.description import family_in
from worker.models.loading.files import locate
from worker.models.loading.parts import empty_networks

# Refuses networks that something does not fit, by their names; their weights are on the meta device.
Require = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Fit:
    """The models that something fits.

    Attributes:
        models: ids of those.
        refusals: why it does not fit the others, by id.
    """

    models: tuple[str, ...]
    refusals: dict[str, str]


def try_on(catalog: Catalog, names: Sequence[str], require: Require) -> Fit:
    """Try something on models.

    Args:
        catalog: of the models.
        names: of those to try; all if empty.
        require: refuses networks that it does not fit.

    Raises:
        ModelUnavailableError: it fits none of them.
        UnknownModelError: the catalog does not hold one.
    """
    tried = [catalog.model(name) for name in names] or list(catalog.models)
    refusals = {card.id: reason for card in tried if (reason := _refusal(card, require))}
    if len(refusals) == len(tried):
        raise ModelUnavailableError("; ".join(f"{name}: {reason}" for name, reason in refusals.items()))
    return Fit(tuple(card.id for card in tried if card.id not in refusals), refusals)


def _refusal(card: ModelCard, require: Require) -> str:
    """Why something does not fit a model; empty if it does."""
    try:
        path = locate(card)
        folder = path if path.is_dir() else card.config
        if folder is None:
            raise ModelUnavailableError(
                f"{path.name} is one file: name its config in the catalog to check by that"
            )
        places = Places(folder, None if card.delta is None else Delta(card.delta))
        require(empty_networks(places, family_in(places.index)))
    except ModelUnavailableError as error:
        return error.message
    return ""
