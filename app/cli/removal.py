"""Removes a model or a CLIP from the catalog, and its files."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.cli.catalog_entries import without_entry
from jobs.catalog.catalog import Catalog, load_catalog
from jobs.catalog.models import ClipCard, ModelCard
from jobs.errors import ConfigurationError

# A folder is removed if it holds one of these: then it is a model's, and nothing else's.
_MARKS = ("model_index.json", "open_clip_config.json", "delta.toml")
_PLACES = ("path", "delta", "config", "head", "words", "encoder")


@dataclass(frozen=True)
class Removed:
    """An entry, and the text of the catalog without it.

    Attributes:
        table: of the entry.
        card: its content.
        text: what is left.
        catalog: as it was, for what other entries have.
    """

    table: str
    card: ModelCard | ClipCard
    text: str
    catalog: Catalog

    def others(self) -> Iterator[Any]:
        """All other entries."""
        for table in Catalog.model_fields:
            yield from (card for card in getattr(self.catalog, table) if card is not self.card)


def removed(text: str, name: str, models: Path) -> Removed:
    """The catalog without an entry.

    Args:
        text: of the catalog.
        name: id of the entry; of a model also an alias.
        models: the catalog's file.

    Raises:
        ConfigurationError: there is none, another entry names it, or it is the last of its kind.
    """
    catalog = load_catalog(models, text)
    model = next((card for card in catalog.models if name in card.names), None)
    clip = next((card for card in catalog.clips if card.id == name), None)
    card = model or clip
    if card is None:
        known = ", ".join(each.id for each in (*catalog.models, *catalog.clips))
        raise ConfigurationError(f"{name!r} is not in the catalog; it holds: {known}")
    users = list(_users_of_model(catalog, model) if model else _users_of_clip(catalog, name))
    if users:
        raise ConfigurationError(
            f"{card.id!r} cannot be removed while another entry names it: {', '.join(users)}"
        )
    table = "models" if model else "clips"
    if len(getattr(catalog, table)) == 1:
        raise ConfigurationError(f"{card.id!r} is the last of [{table}], and the catalog needs one")
    return Removed(table, card, without_entry(text, table, card.id, models), catalog)


def _users_of_model(catalog: Catalog, model: ModelCard) -> Iterator[str]:
    kinds = ("adapters", "controls", "image_prompts", "textual_inversions")
    for kind in kinds:
        for card in getattr(catalog, kind):
            if not set(card.base).isdisjoint(model.names):
                yield f"{kind}.{card.id} (base)"


def _users_of_clip(catalog: Catalog, name: str) -> Iterator[str]:
    for card in catalog.models:
        yield from (
            f"models.{card.id} ({field})" for field in ("clip", "text_clip") if getattr(card, field) == name
        )
    yield from (f"image_prompts.{card.id} (clip)" for card in catalog.image_prompts if card.clip == name)


def remove_files(entry: Removed) -> list[str]:
    """Remove the files of an entry that no other one has.

    Returns:
        What was removed, and what was kept and why, in sentences.

    Raises:
        ConfigurationError: they cannot be removed.
    """
    try:
        if entry.card.hub is not None:
            return [_remove_from_cache(entry)]
        return [_remove_place(place, entry) for place in entry.card.places]
    except OSError as error:
        raise ConfigurationError(f"files of {entry.card.id!r} cannot be removed: {error}") from error


def _remove_from_cache(entry: Removed) -> str:
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    hub, revision = entry.card.hub, str(entry.card.revision)
    source = f"{hub} at {revision[:10]}"
    if any(
        (getattr(card, "hub", None), getattr(card, "revision", None)) == (hub, revision)
        for card in entry.others()
    ):
        return f"kept {source}, which another entry has too"
    try:
        cache = scan_cache_dir(constants.HF_HUB_CACHE)
    except CacheNotFound:
        return f"{source} was not in the cache"
    known = {each.commit_hash for repo in cache.repos if repo.repo_id == hub for each in repo.revisions}
    if revision not in known:
        return f"{source} was not in the cache"
    strategy = cache.delete_revisions(revision)
    strategy.execute()
    return f"removed {source} from the cache: {strategy.expected_freed_size_str}"


def _remove_place(place: Path, entry: Removed) -> str:
    resolved = place.resolve()
    for card in entry.others():
        for field in _PLACES:
            other = getattr(card, field, None)
            if isinstance(other, Path) and _meet(resolved, other.resolve()):
                return f"kept {place}, which {card.id!r} has too"
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif not place.is_dir():
        return f"{place} was not there"
    elif not any((place / mark).is_file() for mark in _MARKS):
        return f"kept {place}, which holds none of {', '.join(_MARKS)}"
    else:
        shutil.rmtree(place)
    return f"removed {place}"


def _meet(one: Path, other: Path) -> bool:
    """Whether one path lies in the other."""
    return one.is_relative_to(other) or other.is_relative_to(one)
