"""Adapters and textual inversions as A1111's clients name them: ``<lora:ink:0.8>``, and a word."""

from collections.abc import Sequence
from typing import Any

from jobs.catalog.adapters import AdapterCard
from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.prompts.networks import NamedAdapter, without_adapters
from jobs.requests.conditions.adapters import MAX_WEIGHT

_MOST_NOTED_CHARS = 50


def adapters_of(prompt: str, catalog: Catalog) -> tuple[str, list[dict[str, Any]]]:
    """A prompt without its tags, and the native adapters that they stand for; unknown ones are left out, as in A1111.

    Raises:
        InvalidRequestError: a weight is no number, or too large.
    """
    text, named = _parsed(prompt)
    known = [(each, card) for each in named if (card := _card(each.name, catalog.adapters)) is not None]
    for each, _ in known:
        if max(abs(each.weight), abs(each.text_weight)) > MAX_WEIGHT:
            raise InvalidRequestError(
                f"the weight of <lora:{each.name}> is over {MAX_WEIGHT:g}", field="prompt"
            )
    return text, [
        {"name": card.id, "weight": each.weight, "text_weight": each.text_weight} for each, card in known
    ]


def notes_of(prompt: str, catalog: Catalog) -> tuple[str, ...]:
    """A sentence on each adapter that a prompt names and the catalog lacks."""
    return tuple(
        f"there is no adapter {each.name[:_MOST_NOTED_CHARS]!r}, so it is left out"
        for each in _parsed(prompt)[1]
        if _card(each.name, catalog.adapters) is None
    )


def listed(catalog: Catalog) -> list[dict[str, Any]]:
    """The adapters, as A1111 lists them. Their files' names are made of their ids."""
    return [
        {
            "name": card.id,
            "alias": card.id,
            "path": f"{card.id}.safetensors",
            "metadata": {"trigger_words": list(card.triggers), "base": list(card.base)},
        }
        for card in catalog.adapters
    ]


def listed_inversions(catalog: Catalog, model: ModelCard) -> dict[str, Any]:
    """The textual inversions by their words, as A1111 lists them: those of a model, and the others.

    The sizes of their vectors are in files that only workers need.
    """
    unknown = dict.fromkeys(("step", "sd_checkpoint", "sd_checkpoint_name", "shape", "vectors"))
    own = catalog.textual_inversions_of(model)
    others = (card for card in catalog.textual_inversions if card not in own)
    return {
        "loaded": {card.word: unknown for card in own},
        "skipped": {card.word: unknown for card in others},
    }


def _parsed(prompt: str) -> tuple[str, tuple[NamedAdapter, ...]]:
    try:
        return without_adapters(prompt)
    except ValueError as error:
        raise InvalidRequestError(str(error), field="prompt") from error


def _card(name: str, cards: Sequence[AdapterCard]) -> AdapterCard | None:
    """The adapter of this id or of this file, as clients know either."""
    return next((card for card in cards if name in (card.id, card.stem)), None)
