"""Loads a CLIP."""

import open_clip

from jobs.catalog.models import ClipCard
from jobs.errors import ModelUnavailableError
from worker.aesthetics.predictor import load_head
from worker.models.clip import ClipModel
from worker.models.device import Device
from worker.models.failures import is_out_of_memory
from worker.models.loading.files import locate, require_pinned
from worker.models.loading.layout import CLIP_WEIGHTS
from worker.models.loading.openclip import load_openclip
from worker.models.shared import SharedNetworks


def load_clip(card: ClipCard, device: Device, shared: SharedNetworks | None = None) -> ClipModel:
    """Load an OpenCLIP folder (or hub id): ``open_clip_config.json`` beside ``open_clip_model.safetensors``.

    Args:
        card: of the catalog.
        device: for the network.
        shared: networks in memory; one whose files are the same is not loaded again.

    Raises:
        ModelUnavailableError: its files are missing, damaged, or not safetensors; or its weights or its aesthetic head
            are not its own.
        RuntimeError: it does not fit the device's memory; see ``is_out_of_memory``.
    """
    path, shared = locate(card), shared or SharedNetworks()
    if not (path / CLIP_WEIGHTS).is_file():
        raise ModelUnavailableError(
            f"{card.id}: {path} holds no {CLIP_WEIGHTS}, the only weights that are read"
        )
    try:
        model = load_openclip(path, device, shared)
        require_pinned(card, path, shared.digests)
        clip = ClipModel(model, open_clip.get_tokenizer(f"local-dir:{path}"), device)
        clip.try_out()
    except ModelUnavailableError as error:
        raise ModelUnavailableError(f"{card.id}: {error.message}") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelUnavailableError(f"{card.id}: {path.name} cannot be loaded: {error}") from error
    if card.head is not None:
        clip.head = load_head(card.head, clip=card.id, width=clip.width)
    return clip
