"""Models by A1111's names for them: a title is a file's name and a hash."""

from typing import Any

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError, UnknownModelError

_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth")


def file_name(card: ModelCard) -> str:
    """The name of a model's file, whether it is one file or not."""
    return f"{card.id}.safetensors"


def title_of(card: ModelCard) -> str:
    """``pocket.safetensors [6ce0161689]``."""
    return f"{file_name(card)} [{card.short_hash}]"


def card_of(title: Any, catalog: Catalog, *, field: str) -> ModelCard:
    """The card of ``pocket``, ``pocket.safetensors``, ``6ce0161689`` or ``pocket.safetensors [6ce0161689]``.

    Args:
        title: what the client sent.
        catalog: the models.
        field: the client's name for it.

    Raises:
        InvalidRequestError: it is no text.
        UnknownModelError: the catalog has no such model.
    """
    if not isinstance(title, str):
        raise InvalidRequestError("Input should be the name of a model", field=field)
    known = {card.short_hash: card for card in catalog.models}
    known |= {name: card for card in catalog.models for name in card.names}
    for name in (title, _without_hash(title), _plain(title)):
        if name in known:
            return known[name]
    held = ", ".join(card.id for card in catalog.models)
    raise UnknownModelError(f"{title[:200]!r} is not in the catalog; it holds: {held}", field=field)


def _plain(title: str) -> str:
    name = _without_hash(title)
    suffix = next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def _without_hash(title: str) -> str:
    name = title.strip()
    return name.rpartition("[")[0].rstrip() if name.endswith("]") else name
