"""A1111's options that a caller may read and set."""

from typing import Any

from app.api.dialects.a1111.checkpoints import card_of, title_of
from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.prompts.fields import MAX_CLIP_SKIP
from jobs.requests.conditions.families import FamilyName

MODEL = "sd_model_checkpoint"
PREVIEWS, PREVIEW_EVERY = "live_previews_enable", "show_progress_every_n_steps"
CLIP_STOP = "CLIP_stop_at_last_layers"
_MOST_STEPS = 250
# Those that a caller may change for itself, with A1111's defaults. Those of the previews and the layers have an effect;
# the others are for the caller's own use.
KEPT: dict[str, bool | int] = {
    PREVIEWS: True,
    PREVIEW_EVERY: 10,
    CLIP_STOP: 1,
    "send_seed": True,
    "send_size": True,
}
# Those that many clients read, and that nobody changes: this server has no other.
FIXED: dict[str, bool | int | float | str] = {
    "sd_vae": "Automatic",
    "samples_format": "png",
    "enable_pnginfo": True,
    "eta_noise_seed_delta": 0,
    "show_progress_type": "Approx cheap",
    "live_preview_refresh_period": 1000.0,
}


def shown(card: ModelCard, changed: dict[str, Any]) -> dict[str, Any]:
    """All options, as A1111 shows them.

    Args:
        card: of the caller's model.
        changed: what the caller has set.
    """
    chosen = {MODEL: title_of(card), "sd_checkpoint_hash": card.short_hash}
    return {**chosen, **FIXED, **KEPT, CLIP_STOP: card.clip_skip + 1, **changed}


def changes(
    options: dict[str, Any], catalog: Catalog, within: str = ""
) -> tuple[ModelCard | None, dict[str, Any]]:
    """The model that options choose, if any, and the changes that are kept. Other options change nothing, as there.

    Args:
        options: of the caller, by their names.
        catalog: the models.
        within: what stands before an option's name in an error.

    Raises:
        UnknownModelError: the catalog does not hold the model.
        InvalidRequestError: a value is of another type than the option, or outside its range.
    """
    title = options.get(MODEL)
    card = card_of(title, catalog, field=within + MODEL) if title else None
    kept = {name: options[name] for name in KEPT if options.get(name) is not None}
    for name, value in kept.items():
        if type(value) is not type(KEPT[name]):
            wanted = "true or false" if KEPT[name] is True else "a whole number"
            raise InvalidRequestError(f"{name} is {wanted}", field=within + name)
    if not -1 <= kept.get(PREVIEW_EVERY, 0) <= _MOST_STEPS:
        raise InvalidRequestError(
            f"{PREVIEW_EVERY} is from -1 (only at the end) to {_MOST_STEPS}", field=within + PREVIEW_EVERY
        )
    if not 1 <= kept.get(CLIP_STOP, 1) <= MAX_CLIP_SKIP + 1:
        raise InvalidRequestError(
            f"{CLIP_STOP} is from 1 (none is left out) to {MAX_CLIP_SKIP + 1}", field=within + CLIP_STOP
        )
    return card, kept


def clip_skip(options: dict[str, Any], card: ModelCard) -> int | None:
    """The native field of a caller with these options; None for the model's own.

    The last layer is 1 there and 0 here. A1111 always reads the same layers of SDXL.
    """
    wanted: int | None = options.get(CLIP_STOP)
    return None if wanted is None or card.family is not FamilyName.SD else wanted - 1


def preview_every_steps(options: dict[str, Any]) -> int | None:
    """Steps between two previews of a caller with these options; None for no previews."""
    wanted = {**KEPT, **options}
    return wanted[PREVIEW_EVERY] if wanted[PREVIEWS] and wanted[PREVIEW_EVERY] > 0 else None
