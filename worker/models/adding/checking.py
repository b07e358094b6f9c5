"""Checks models and CLIPs of the catalog, for ``lodestar models check``.

``python -m worker.models.adding.checking --models-file FILE [NAME]...`` writes the lines of ``reporting``. Its result
has for each entry what is wrong with it, or what it needs. It fetches nothing, and reads every file for its digest.
"""

import argparse
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from jobs.catalog.catalog import Catalog, load_catalog
from jobs.catalog.models import ClipCard, ModelCard
from jobs.errors import LodestarError, ModelUnavailableError, UnknownModelError
from worker.models.adapters.delta import Delta
from worker.models.adapters.files import UNET
from worker.models.adding.checkpoints import Checkpoint, of_file, of_folder
from worker.models.adding.clips import of_clip
from worker.models.adding.needs import needs_of
from worker.models.adding.reporting import say, tell, told_failures
from worker.models.adding.repository import Repository
from worker.models.adding.sources import FolderSource
from worker.models.device import Device
from worker.models.families.table import of_kind, require_family
from worker.models.loading.digests import Digests
from worker.models.loading.files import require_pinned
from worker.models.loading.layout import network_files
from worker.settings import WorkerSettings

Card = ModelCard | ClipCard


def check(card: Card, catalog: Catalog, device: Device) -> str:
    """What a model needs; for a CLIP its size.

    Raises:
        ModelUnavailableError: a file is missing or another than the pinned one, or the model is not served.
    """
    path = _path(card)
    for name in card.sha256:
        if not (path / name if path.is_dir() else path).is_file():
            raise ModelUnavailableError(f"{name} is not there")
    if isinstance(card, ClipCard):
        text = f"{of_clip(FolderSource(path)).parameters / 1e6:.0f} M parameters"
    else:
        checkpoint = _checkpoint(card, path)
        require_family(checkpoint.family, card)
        of_kind(checkpoint.family, card).require(checkpoint.parts)
        guide = of_clip(FolderSource(_path(catalog.clip(card.clip))))
        needs = needs_of(checkpoint.parameters + guide.parameters, card.width, card.height, device)
        if not needs.fits:
            raise ModelUnavailableError(needs.text)
        text = f"{checkpoint.family.name}; {needs.text}"
    require_pinned(card, path, Digests())
    return f"{text}; digests right: {len(card.sha256)}" if card.sha256 else text


def _checkpoint(card: ModelCard, path: Path) -> Checkpoint:
    if path.is_file():
        return of_file(path, card.config)
    delta = None if card.delta is None else Delta(card.delta)
    source = FolderSource(path)
    checkpoint = of_folder(source, card.variant, delta, prefers_fp16=False)
    if delta is not None:
        unet = network_files(source.names, delta.stems(checkpoint.family), card.variant)[UNET]
        delta.require_base([path / name for name in unet], Digests())
    return checkpoint


def _path(card: Card) -> Path:
    """The file or folder of a model on this machine."""
    if card.path is not None:
        if not card.path.exists():
            raise ModelUnavailableError(f"{card.path} does not exist")
        return card.path
    assert card.hub is not None
    assert card.revision is not None
    folder = Repository(card.hub, card.revision, {}).snapshot
    if not folder.is_dir():
        raise ModelUnavailableError(
            f"{card.hub} at {card.revision[:10]} is not in {constants.HF_HUB_CACHE}; a worker that needs it fetches it"
        )
    return folder


def named(catalog: Catalog, names: list[str]) -> list[Card]:
    """The entries of these names; all if there are none.

    Raises:
        UnknownModelError: the catalog lacks one.
    """
    cards: list[Card] = [*catalog.models, *catalog.clips]
    if not names:
        return cards
    known = {card.id: card for card in reversed(cards)}
    known |= {name: model for model in catalog.models for name in model.names}
    strange = [name for name in names if name not in known]
    if strange:
        raise UnknownModelError(f"{strange[0]!r} is not in the catalog; it holds: {', '.join(known)}")
    return [known[name] for name in names]


def main() -> None:
    """Check, and tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="entries; all models and CLIPs if left out")
    parser.add_argument("--models-file", type=Path, required=True, help="the catalog")
    options = parser.parse_args()
    with told_failures():
        catalog, device = load_catalog(options.models_file), Device(WorkerSettings())
        found: list[dict[str, Any]] = []
        for card in named(catalog, options.names):
            try:
                found.append({"name": card.id, "ok": True, "detail": check(card, catalog, device)})
            except LodestarError as error:
                found.append({"name": card.id, "ok": False, "detail": " ".join(error.message.split())})
            say(f"checked {card.id}")
        tell("found", entries=found)


if __name__ == "__main__":
    main()
