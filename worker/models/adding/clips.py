"""The CLIPs beside a checkpoint: the one that its text encoder was cut out of, and the one that guides it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ClipCard
from jobs.errors import LodestarError
from worker.models.adapters.files import TEXT
from worker.models.adding.checkpoints import Checkpoint, parameters_of
from worker.models.adding.repository import find
from worker.models.adding.sources import FolderSource, HubSource, Source, source_of
from worker.models.loading.layout import CLIP_CONFIG, CLIP_WEIGHTS, clip_files
from worker.models.loading.openclip import empty_openclip

ROWS = (300, 332)  # of the token embeddings, compared: common tokens in every vocabulary
ALIKE = 0.9  # cosine similarity of rows that have one origin; fine-tuning moves them little, and others' are near 0
_KEYS = ("token_embedding.weight", "text.token_embedding.weight")


@dataclass(frozen=True)
class Published:
    """A CLIP of the hub that text encoders were cut out of.

    Attributes:
        name: for the catalog.
        hub: its id.
        width: of the text encoder's states.
        layers: of the text encoder.
    """

    name: str
    hub: str
    width: int
    layers: int


# Those of Stable Diffusion 1.x and SDXL's first encoder, and of 2.x, which leaves the last layer out.
VIT_L = Published("vit-l-14", "timm/vit_large_patch14_clip_224.openai", 768, 12)
VIT_H = Published("vit-h-14", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", 1024, 23)
GUIDE = VIT_H  # docs/guidance.md


@dataclass(frozen=True)
class FoundClip:
    """A CLIP that can be loaded.

    Attributes:
        source: where it is.
        files: those that are read.
        network: without weights.
    """

    source: Source
    files: tuple[str, ...]
    network: Module

    @property
    def parameters(self) -> int:
        """Numbers of the network."""
        return parameters_of([self.network])


def is_clip(source: Source) -> bool:
    """Whether a folder holds an OpenCLIP model."""
    return CLIP_CONFIG in source.names


def of_clip(source: Source) -> FoundClip:
    """An OpenCLIP model, its weights known to be its own by their names and shapes.

    Raises:
        ModelUnavailableError: it is none, or they are not.
    """
    files = clip_files(source.names)
    folder = source.described(name for name in files if name != CLIP_WEIGHTS)
    return FoundClip(source, tuple(files), empty_openclip(folder, source.outline([CLIP_WEIGHTS])))


def source_of_card(card: ClipCard) -> Source:
    """The files of a CLIP of the catalog."""
    if card.path is not None:
        return FolderSource(card.path)
    assert card.hub is not None
    return HubSource(find(card.hub, card.revision))


def text_clip_of(
    checkpoint: Checkpoint, source: Source, catalog: Catalog | None
) -> ClipCard | Published | None:
    """The CLIP of a checkpoint's text encoder: of the catalog, else the published one of its shape; None for none."""
    if checkpoint.embeddings is None:
        return None
    config = checkpoint.parts[TEXT].config
    rows: Tensor | None = None
    for card in catalog.clips if catalog else ():
        try:
            clip = source_of_card(card)
            if _width(clip) != config.hidden_size:
                continue
            rows = source.rows(*checkpoint.embeddings, *ROWS) if rows is None else rows
            if _are_alike(rows, _rows(clip)):
                return card
        except (LodestarError, OSError, KeyError, ValueError):
            continue  # one that cannot be read belongs to nothing
    shape = (config.hidden_size, config.num_hidden_layers)
    return next((each for each in (VIT_L, VIT_H) if (each.width, each.layers) == shape), None)


def guide_of(text_clip: ClipCard | Published | None, catalog: Catalog | None) -> ClipCard | Published:
    """A CLIP that guides a checkpoint well: that of its siblings, else one of full size, else the published one."""
    if catalog is not None and isinstance(text_clip, ClipCard):
        siblings = (model for model in catalog.models if model.text_clip == text_clip.id)
        sibling = next(siblings, None)
        if sibling is not None:
            return catalog.clip(sibling.clip)
    for published in (GUIDE, VIT_L):
        for card in catalog.clips if catalog else ():
            if card.hub == published.hub:
                return card
    return GUIDE


def named_guide(wanted: str, catalog: Catalog | None) -> ClipCard | FoundClip:
    """The CLIP that a person names: by its id in the catalog, or by its source.

    Raises:
        LodestarError: it is neither, or no CLIP.
    """
    known = {card.id: card for card in (catalog.clips if catalog else ())}
    return known[wanted] if wanted in known else of_clip(source_of(wanted))


def _width(clip: Source) -> int:
    config: dict[str, Any] = json.loads(
        (clip.described([CLIP_CONFIG]) / CLIP_CONFIG).read_text(encoding="utf-8")
    )
    return int(config["model_cfg"]["text_cfg"]["width"])


def _rows(clip: Source) -> Tensor:
    keys = clip.outline([CLIP_WEIGHTS])
    return clip.rows(CLIP_WEIGHTS, next(key for key in _KEYS if key in keys), *ROWS)


def _are_alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and F.cosine_similarity(one, other).mean().item() > ALIKE


def names_taken(catalog: Catalog | None) -> Sequence[str]:
    """Ids of the catalog's CLIPs."""
    return [card.id for card in catalog.clips] if catalog else []
