"""Fetch a model from the hub: the files that are read, and no others."""

from collections.abc import Iterable
from glob import escape
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, snapshot_download

from jobs.catalog.catalog import ClipCard, ModelCard
from jobs.catalog.controls import ControlCard
from jobs.errors import ModelUnavailableError
from worker.models.families.family import Family
from worker.models.loading.description import family_in
from worker.models.loading.layout import CONFIG, INDEX, NETWORK_STEM, alone, clip_files, diffusion_files

# Of a repository that only describes checkpoints which came as one file.
_DESCRIPTIONS = ["*.json", "*.txt"]

Hosted = ModelCard | ClipCard | ControlCard


def fetch(card: Hosted) -> Path:
    """The folder of a hub's model at its pinned revision, in the ordinary cache.

    Raises:
        ModelUnavailableError: the repository holds no such model, or one that no family serves; or the hub cannot be
            reached and the cache lacks it.
    """
    assert card.hub is not None
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
    elif isinstance(card, ClipCard):
        read = clip_files(names)
    else:
        assert family is not None
        read = diffusion_files(names, family.stems, family.tokenizers, card.variant)
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
