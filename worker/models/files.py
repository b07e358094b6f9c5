"""Find a model's files, and refuse those that could run code when they are read."""

from pathlib import Path

from huggingface_hub import snapshot_download

from jobs.catalog import ClipCard, ModelCard
from jobs.errors import ModelUnavailableError

# Pickles (.bin, .pt, .ckpt) can run code when they are loaded; only safetensors are fetched and read.
WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]


def locate(card: ModelCard | ClipCard) -> Path:
    """The local folder or file of a model, fetched from the hub at its pinned revision if need be.

    Raises:
        ModelUnavailableError: it is missing, or cannot be fetched, or is a pickle.
    """
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
