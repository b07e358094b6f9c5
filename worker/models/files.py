"""Find a model's files, and refuse those that could run code when they are read."""

import math
from pathlib import Path

from huggingface_hub import snapshot_download
from safetensors import safe_open

from jobs.catalog import ClipCard, ModelCard
from jobs.errors import ModelUnavailableError
from worker.models.shared import sha256

# Pickles (.bin, .pt, .ckpt) can run code when they are loaded; only safetensors are fetched and read.
WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]
NETWORKS = ("text_encoder", "unet", "vae")  # of a diffusers folder


def locate(card: ModelCard | ClipCard) -> Path:
    """The local folder or file of a model, fetched from the hub at its pinned revision if need be.

    Raises:
        ModelUnavailableError: it is missing, or cannot be fetched, or is a pickle, or is not what the catalog pins.
    """
    path = _find(card)
    for name, expected in card.sha256.items():
        file = path / name if path.is_dir() else path
        if not file.is_file() or sha256(file) != expected:
            raise ModelUnavailableError(f"{card.id}: {name} is not the file whose sha256 the catalog pins")
    return path


def parameters(card: ModelCard | ClipCard) -> int:
    """How many numbers a model will hold in memory, by the headers of its files; 0 for what cannot be read.

    Raises:
        ModelUnavailableError: as for ``locate``.
    """
    path = _find(card)
    if path.is_file():
        files = [path]
    elif (path / "model_index.json").is_file():
        files = [file for name in NETWORKS for file in weights(path / name)]
    else:
        files = weights(path)
    return sum(_numbers(file) for file in files)


def weights(folder: Path) -> list[Path]:
    """The safetensors files of one network that are read; a folder may hold other variants beside them."""
    return [file for file in sorted(folder.glob("*.safetensors")) if file.name.count(".") == 1]


def _numbers(file: Path) -> int:
    try:
        with safe_open(file, framework="pt") as tensors:
            return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    except Exception:
        return 0  # loading it will say what is wrong


def _find(card: ModelCard | ClipCard) -> Path:
    if card.hub is not None:
        try:
            return Path(snapshot_download(card.hub, revision=card.revision, allow_patterns=WANTED))
        except Exception as error:
            raise ModelUnavailableError(f"{card.id}: {card.hub} cannot be fetched: {error}") from error
    path = card.path
    if path is None or not path.exists():
        raise ModelUnavailableError(f"{card.id}: {path} does not exist")
    if path.is_file() and path.suffix != ".safetensors":
        raise ModelUnavailableError(
            f"{card.id}: {path.name} is not a .safetensors file; other formats can run code when they are read"
        )
    return path
