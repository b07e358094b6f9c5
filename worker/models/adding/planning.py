"""Plans what is fetched for a model or a CLIP, and the entries of the catalog for it."""

import re
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from jobs.catalog.catalog import Catalog
from jobs.catalog.entry import Id
from jobs.catalog.models import ClipCard, ModelCard
from jobs.errors import ConfigurationError, LodestarError, ModelUnavailableError
from worker.models.adding.checkpoints import Checkpoint, of_file, of_folder
from worker.models.adding.clips import (
    FoundClip,
    Published,
    guide_of,
    is_clip,
    named_guide,
    of_clip,
    source_of_card,
    text_clip_of,
)
from worker.models.adding.defaults import defaults_of, is_of_few_steps
from worker.models.adding.downloading import require_disk, size_of
from worker.models.adding.needs import needs_of
from worker.models.adding.plans import Plan, Wishes
from worker.models.adding.reporting import Progress, say
from worker.models.adding.repository import find
from worker.models.adding.sources import HubSource, Source, source_of
from worker.models.device import Device
from worker.models.loading.digests import Digests

_ID: TypeAdapter[str] = TypeAdapter(Id)


def plan(wishes: Wishes, catalog: Catalog | None, device: Device) -> Plan:
    """Look at a source and what belongs beside it, without fetching weights.

    Args:
        wishes: of a person.
        catalog: that there is; None for none yet.
        device: of this machine's worker.

    Raises:
        ConfigurationError: there is no such source, or its name is taken.
        ModelUnavailableError: it is of a kind that is not served.
        DownloadError: the hub cannot be asked.
    """
    source = source_of(wishes.source)
    planned = Plan()
    try:
        if is_clip(source):
            clip = of_clip(source)
            planned.add("clips", _free(wishes, source, catalog, "clips"), source.entry(), source, clip.files)
            say(f"{source.title}: a CLIP of {clip.parameters / 1e6:.0f} M parameters")
            return planned
        name = _free(wishes, source, catalog, "models")
        checkpoint = _checkpoint(source, wishes, device)
        fields = defaults_of(checkpoint, f"{source.title} {name}")
        clips, used = _clips(planned, checkpoint, source, wishes, catalog)
    except ModelUnavailableError as error:
        raise ModelUnavailableError(f"{source.title} is not served: {error.message}") from error
    given = {
        "variant": checkpoint.variant,
        "config": None if wishes.config is None else str(wishes.config.absolute()),
    }
    entry: dict[str, Any] = {
        **source.entry(),
        **given,
        "aliases": _aliases(source, name, catalog),
        **clips,
        **fields,
    }
    _require_entry(name, entry, source)
    planned.add("models", name, entry, source, checkpoint.files)
    say(_summary(source, checkpoint, fields, clips))
    say(needs_of(checkpoint.parameters + used, fields["width"], fields["height"], device).text)
    return planned


def _require_entry(name: str, entry: dict[str, Any], source: Source) -> None:
    """Refuse a checkpoint whose entry the catalog would refuse.

    Raises:
        ModelUnavailableError: it would.
    """
    try:
        ModelCard.model_validate(
            {"id": name, **{key: value for key, value in entry.items() if value is not None}}
        )
    except ValidationError as error:
        raise ModelUnavailableError(
            f"{source.title} is not served: the catalog has no place for it: {error.errors()[0]['msg']}"
        ) from error


def carry_out(planned: Plan, digests: Digests, progress: Progress) -> list[tuple[str, str, dict[str, Any]]]:
    """Fetch what is planned; its entries with the digests of their weights.

    Raises:
        DownloadError: there is no room for it, or it cannot be fetched whole.
    """
    missing = planned.missing_bytes
    if missing:
        say(f"to be fetched: {size_of(missing)}")
    require_disk(missing)
    return [
        (table, name, {**fields, "sha256": source.fetched(files, digests, progress)})
        for (table, name, fields), (source, files) in zip(planned.entries, planned.fetches, strict=True)
    ]


def _checkpoint(source: Source, wishes: Wishes, device: Device) -> Checkpoint:
    path = source.entry().get("path")
    if path is not None and Path(path).is_file():
        return of_file(Path(path), wishes.config)
    return of_folder(source, wishes.variant, prefers_fp16=device.dtype_name == "fp16")


def _clips(
    planned: Plan, checkpoint: Checkpoint, source: Source, wishes: Wishes, catalog: Catalog | None
) -> tuple[dict[str, str], int]:
    """The fields of a model that name its CLIPs, and the parameters of those that each job uses.

    CLIPs that the catalog lacks are planned.
    """
    text_clip = text_clip_of(checkpoint, source, catalog) if wishes.text_clip else None
    guide = named_guide(wishes.clip, catalog) if wishes.clip else guide_of(text_clip, catalog)
    name, used = _planned_clip(planned, guide, catalog)
    fields = {"clip": name}
    if text_clip is not None:
        fields["text_clip"] = name if text_clip == guide else _planned_clip(planned, text_clip, catalog)[0]
    scorer = catalog.aesthetic_scorer if catalog else None
    if scorer is not None and scorer.id != name:
        used += _parameters(scorer)
    return fields, used


def _planned_clip(
    planned: Plan, clip: ClipCard | Published | FoundClip, catalog: Catalog | None
) -> tuple[str, int]:
    """The id and the parameters of a CLIP, which is planned if the catalog lacks it."""
    cards = catalog.clips if catalog else ()
    wanted, found = "", clip
    if isinstance(clip, Published):
        held = next((card for card in cards if card.hub == clip.hub), None)
        wanted, found = clip.name, held or of_clip(HubSource(find(clip.hub, None)))
    if isinstance(found, ClipCard):
        return found.id, _parameters(found)
    assert isinstance(found, FoundClip)
    entry, wanted = found.source.entry(), wanted or _name_of(found.source)
    for card in cards:
        if card.hub == entry.get("hub") and (
            card.path is None or str(card.path.absolute()) == entry.get("path")
        ):
            return card.id, found.parameters
    taken = {card.id for card in cards} | {name for table, name, _ in planned.entries if table == "clips"}
    name = next(
        each for each in (wanted, *(f"{wanted}-{number}" for number in range(2, 1000))) if each not in taken
    )
    planned.add("clips", name, entry, found.source, found.files)
    return name, found.parameters


def _parameters(card: ClipCard) -> int:
    """Of a CLIP of the catalog; 0 if it cannot be read now."""
    try:
        return of_clip(source_of_card(card)).parameters
    except (LodestarError, OSError, ValueError, KeyError):
        return 0


def _name_of(source: Source) -> str:
    """An id after a source."""
    entry = source.entry()
    last = str(entry.get("hub") or Path(entry["path"]).name.removesuffix(".safetensors")).rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._") or "model"


def _free(wishes: Wishes, source: Source, catalog: Catalog | None, table: str) -> str:
    """The id of the new entry.

    Raises:
        ConfigurationError: an entry has it, or it cannot be one.
    """
    name = wishes.name or _name_of(source)
    try:
        _ID.validate_python(name)
    except ValidationError as error:
        raise ConfigurationError(f"{name!r} cannot be an id: {error.errors()[0]['msg']}") from error
    taken = {card.id for card in (catalog.clips if catalog else ())}
    if table == "models":
        taken = {each for card in (catalog.models if catalog else ()) for each in card.names}
    if name in taken:
        raise ConfigurationError(f"the catalog has an entry {name!r} already; give another --name")
    return name


def _aliases(source: Source, name: str, catalog: Catalog | None) -> list[str]:
    """The id of the hub, so that clients that name it find the model."""
    hub = source.entry().get("hub")
    taken = {each for card in (catalog.models if catalog else ()) for each in card.names} | {name}
    return [hub] if hub and hub not in taken else []


def _summary(source: Source, checkpoint: Checkpoint, fields: dict[str, Any], clips: dict[str, str]) -> str:
    """``o/m at 0123456789: Stable Diffusion 1.x and 2.x, 512 px, epsilon, fp16, guided by vit-h-14``."""
    scheduler = checkpoint.parts["scheduler"].config
    parts = [
        checkpoint.family.name,
        f"{checkpoint.parameters / 1e6:.0f} M parameters",
        f"{fields['width']}x{fields['height']} px",
        scheduler.get("prediction_type", "epsilon"),
        *([checkpoint.variant] if checkpoint.variant else []),
        f"guided by {clips['clip']}",
    ]
    few = ""
    if is_of_few_steps(fields):
        few = f"; taken for a model of few steps: {fields['steps']} of them, cfg_scale 1"
    return f"{source.title}: {', '.join(parts)}{few}"
