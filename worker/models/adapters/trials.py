"""Tries what is made for a model with the models of a catalog, by their configurations alone."""

from collections.abc import Callable, Mapping, Sequence

from torch.nn import Module

from jobs.catalog.catalog import ModelCard
from jobs.errors import ModelUnavailableError
from worker.models.loading.description import family_in
from worker.models.loading.files import locate
from worker.models.loading.parts import empty_networks

Require = Callable[
    [Mapping[str, Module]], None
]  # of networks by their names, their weights on the meta device


def refusals_of(cards: Sequence[ModelCard], require: Require) -> dict[str, str]:
    """Why something is not for some models, by their ids.

    Args:
        cards: of the models that are tried.
        require: raises ModelUnavailableError for networks that it is not for.

    Raises:
        ModelUnavailableError: it is for none of them.
    """
    refusals = {card.id: reason for card in cards if (reason := _refusal(card, require))}
    if len(refusals) == len(cards):
        raise ModelUnavailableError("; ".join(f"{name}: {reason}" for name, reason in refusals.items()))
    return refusals


def _refusal(card: ModelCard, require: Require) -> str:
    """Why it is not for a model; empty if it is."""
    try:
        path = locate(card)
        folder = path if path.is_dir() else card.config
        if folder is None:
            raise ModelUnavailableError(
                f"{path.name} is one file: name its config in the catalog to check by that"
            )
        require(empty_networks(folder, family_in(folder)))
    except ModelUnavailableError as error:
        return error.message
    return ""
