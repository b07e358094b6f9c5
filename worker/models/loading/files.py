"""Find a model's files, and refuse those that could run code when they are read."""

import math
from collections.abc import Sequence
from pathlib import Path

from jobs.catalog.entry import Named
from jobs.catalog.models import ClipCard, ModelCard
from jobs.errors import ModelUnavailableError
from worker.models.adapters.delta import Delta
from worker.models.adapters.places import Places
from worker.models.families.family import Family
from worker.models.loading.description import family_in, names_in
from worker.models.loading.digests import Digests
from worker.models.loading.header import read_shapes
from worker.models.loading.hub import Hosted, fetch
from worker.models.loading.layout import CLIP_WEIGHTS, INDEX, network_files
from worker.models.networks.keeping import Keeping


def locate(card: Hosted) -> Path:
    """The local folder or file of a model, fetched from the hub at its pinned revision if need be.

    Raises:
        ModelUnavailableError: it is missing, or cannot be fetched, or is a pickle, or lacks a pinned file.
    """
    path = _find(card)
    for name in card.sha256:
        if not _pinned(path, name).is_file():
            raise ModelUnavailableError(f"{card.id}: {name}, whose sha256 the catalog pins, does not exist")
    return path


def require_pinned(card: Named, path: Path, digests: Digests) -> None:
    """Refuse files that are not those that the catalog pins.

    After loading this reads only what was not loaded, since the digests of the rest are known by then.

    Args:
        card: of the model.
        path: its folder or file.
        digests: of files.

    Raises:
        ModelUnavailableError: a file differs.
    """
    for name, expected in card.sha256.items():
        if digests.of(_pinned(path, name)) != expected:
            raise ModelUnavailableError(f"{name} is not the file whose sha256 the catalog pins")


def _pinned(path: Path, name: str) -> Path:
    return path / name if path.is_dir() else path


def weights_in(
    folder: Path, family: Family, variant: str | None, delta: Delta | None = None
) -> dict[str, list[Path]]:
    """The safetensors files of each network of a diffusers folder that are read.

    Args:
        folder: of the model.
        family: of its checkpoint, or of the variant that the delta makes of it.
        variant: of the weights, as for ``network_files``.
        delta: brings those of networks that the folder has not.

    Raises:
        ModelUnavailableError: as for ``network_files``.
    """
    stems = family.stems if delta is None else delta.stems(family)
    chosen = network_files(names_in(folder), stems, variant)
    own = {network: [folder / name for name in names] for network, names in chosen.items()}
    return own if delta is None else own | delta.brought


def parameters(card: ModelCard | ClipCard) -> int:
    """Number of the parameters of a model, from the headers of its files; 0 for a file that cannot be read.

    Raises:
        ModelUnavailableError: as for ``locate``.
    """
    path = _find(card)
    try:
        files = [path] if path.is_file() else [path / CLIP_WEIGHTS]
        if isinstance(card, ModelCard) and (path / INDEX).is_file():
            weights = _weights_of(card, path)
            files = [file for chosen in weights.values() for file in chosen]
        return sum(math.prod(shape) for file in files for shape in read_shapes(file).values())
    except Exception:
        return 0  # loading it will say what is wrong


def weight_bytes(card: ModelCard, itemsize: int, keeping: Keeping) -> int:
    """Bytes of a diffusion model's weights on its device; 0 for files that cannot be read.

    Args:
        card: of the model.
        itemsize: bytes of a number in the device's format.
        keeping: how the weights are kept.

    Raises:
        ModelUnavailableError: as for ``locate``.
    """
    path = _find(card)
    if not path.is_dir() or not (path / INDEX).is_file():
        return parameters(card) * itemsize
    try:
        weights = _weights_of(card, path)
        return sum(
            _kept_bytes(shape, network, itemsize, keeping)
            for network, files in weights.items()
            for file in files
            for shape in read_shapes(file).values()
        )
    except Exception:
        return 0  # loading it will say what is wrong


def _weights_of(card: ModelCard, path: Path) -> dict[str, list[Path]]:
    """The files of each network of a model in a folder; a delta's own are left out."""
    delta = None if card.delta is None else Delta(card.delta)
    return weights_in(path, family_in(Places(path, delta).index), card.variant, delta)


def _kept_bytes(shape: Sequence[int], network: str, itemsize: int, keeping: Keeping) -> int:
    if keeping.is_home(network):
        return 0
    is_linear = len(shape) == 2
    return math.prod(shape) * (1 if is_linear and keeping.is_own(network) else itemsize)


def _find(card: Hosted) -> Path:
    if card.hub is not None:
        return fetch(card)
    path = card.path
    if path is None or not path.exists():
        raise ModelUnavailableError(f"{card.id}: {path} does not exist")
    if path.is_file() and path.suffix != ".safetensors":
        raise ModelUnavailableError(
            f"{card.id}: {path.name} is not a .safetensors file; other formats can run code when they are read"
        )
    return path
