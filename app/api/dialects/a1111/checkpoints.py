"""Models by A1111's names for them: a title ends in a file's suffix and a hash."""

from typing import Any

from jobs.catalog.catalog import Catalog, ModelCard
from jobs.errors import InvalidRequestError, UnknownModelError

_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth")


def card_of(title: Any, catalog: Catalog, *, field: str) -> ModelCard:
    """The card of ``pocket``, ``pocket.safetensors`` or ``pocket.safetensors [6ce0161689]``.

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
    known = {name: card for card in catalog.models for name in card.names}
    for name in (title, _without_hash(title), _plain(title)):
        if name in known:
            return known[name]
    raise UnknownModelError(
        f"{title!r} is not in the catalog; it holds: {', '.join(card.id for card in catalog.models)}",
        field=field,
    )


def _plain(title: str) -> str:
    name = _without_hash(title)
    suffix = next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def _without_hash(title: str) -> str:
    name = title.strip()
    return name.rpartition("[")[0].rstrip() if name.endswith("]") else name
