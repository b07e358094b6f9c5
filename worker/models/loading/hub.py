"""Fetch a model from the hub: the files that are read, and no others."""

from collections.abc import Iterable
from glob import escape
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, snapshot_download, try_to_load_from_cache

from jobs.catalog.adapters import AdapterCard
from jobs.catalog.controls import ControlCard
from jobs.catalog.models import ClipCard, ModelCard
from jobs.errors import ModelUnavailableError
from worker.models.families.family import Family
from worker.models.loading.description import family_in, names_in
from worker.models.loading.layout import (
    CONFIG,
    INDEX,
    NETWORK_STEM,
    adapter_files,
    alone,
    clip_files,
    diffusion_files,
)

# Of a repository that only describes checkpoints which came as one file.
_DESCRIPTIONS = ["*.json", "*.txt"]

Hosted = ModelCard | ClipCard | ControlCard | AdapterCard


def fetch(card: Hosted) -> Path:
    """The folder of a hub's model at its pinned revision, in the ordinary cache.

    Raises:
        ModelUnavailableError: the repository holds no such model, or one that no family serves; or the hub cannot be
            reached and the cache lacks it.
    """
    assert card.hub is not None
    if (folder := _pinned(card)) is not None:
        return folder
    try:
        names = HfApi().list_repo_files(card.hub, revision=card.revision)
    except Exception as error:
        return _cached(card, error)
    try:
        wanted = files_read(card, names, _family(card, names))
        patterns = [escape(name) for name in wanted]
        return Path(snapshot_download(card.hub, revision=card.revision, allow_patterns=patterns))
    except ModelUnavailableError as error:
        raise ModelUnavailableError(f"{card.id}: {card.hub}: {error.message}") from error
    except Exception as error:
        raise ModelUnavailableError(f"{card.id}: {card.hub} cannot be fetched: {error}") from error


def _pinned(card: Hosted) -> Path | None:
    """The folder in the cache, if the catalog pins all weights that are read and they are there: it cannot change then.

    So a model that `lodestar models add` has fetched needs no hub any more.
    """
    held = [try_to_load_from_cache(str(card.hub), name, revision=card.revision) for name in card.sha256]
    if not held or not all(isinstance(path, str) for path in held):
        return None
    first = next(iter(card.sha256))
    folder = Path(str(held[0])).parents[first.count("/")]
    try:
        names = set(names_in(folder))
        family = family_in(folder) if isinstance(card, ModelCard) else None
        weights = {name for name in files_read(card, names, family) if name.endswith(".safetensors")}
    except ModelUnavailableError:
        return None
    needed = {f"{name}/{CONFIG}" for name in family.networks} if family else set()
    tokenizers = family.tokenizers if family else ()
    have_words = all(any(name.startswith(f"{tokenizer}/") for name in names) for tokenizer in tokenizers)
    return folder if weights <= card.sha256.keys() and needed <= names and have_words else None


def _family(card: Hosted, names: Iterable[str]) -> Family | None:
    """The family of a diffusion model, from the one file that names it; None for what is none."""
    if not isinstance(card, ModelCard):
        return None
    if INDEX not in names:
        raise ModelUnavailableError(f"it holds no {INDEX}")
    assert card.hub is not None
    return family_in(Path(hf_hub_download(card.hub, INDEX, revision=card.revision)).parent)


def files_read(card: Hosted, names: Iterable[str], family: Family | None) -> list[str]:
    """Which files of a repository are read of a model.

    Args:
        card: of the model.
        names: of all files.
        family: of a diffusion model; None for what is none.

    Raises:
        ModelUnavailableError: they are not those of a model that can be loaded.
    """
    names = list(names)
    if isinstance(card, ControlCard):
        read = [CONFIG, *alone(names, NETWORK_STEM, card.variant)]
    elif isinstance(card, AdapterCard):
        read = adapter_files(names, card.file)
    elif isinstance(card, ClipCard):
        read = clip_files(names)
    else:
        assert family is not None
        read = diffusion_files(names, family.stems, (*family.tokenizers, *family.described), card.variant)
    return [*read, *(name for name in card.sha256 if name not in read)]


def fetch_descriptions(repository: str) -> Path:
    """The configurations of a repository, without any weights.

    Raises:
        OSError: it cannot be reached and the cache lacks it.
    """
    try:
        return Path(snapshot_download(repository, allow_patterns=_DESCRIPTIONS))
    except Exception:
        return Path(snapshot_download(repository, allow_patterns=_DESCRIPTIONS, local_files_only=True))


def _cached(card: Hosted, unreachable: Exception) -> Path:
    """The files that were fetched before; loading them names those that are missing."""
    assert card.hub is not None
    try:
        return Path(snapshot_download(card.hub, revision=card.revision, local_files_only=True))
    except Exception as error:
        raise ModelUnavailableError(f"{card.id}: {card.hub} cannot be fetched: {unreachable}") from error
