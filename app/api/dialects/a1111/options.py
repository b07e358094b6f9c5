"""A1111's options that a caller may read and set."""

from typing import Any

from app.api.dialects.a1111.checkpoints import card_of, title_of
from jobs.catalog.catalog import Catalog, ModelCard
from jobs.errors import InvalidRequestError

MODEL = "sd_model_checkpoint"
PREVIEWS, PREVIEW_EVERY = "live_previews_enable", "show_progress_every_n_steps"
_MOST_STEPS = 250
# Those that a caller may change for itself, with A1111's defaults. The previews' have an effect; the others are for the
# caller's own use.
KEPT: dict[str, bool | int] = {
    PREVIEWS: True,
    PREVIEW_EVERY: 10,
    "send_seed": True,
    "send_size": True,
}
# Those that many clients read, and that nobody changes: this server has no other.
FIXED: dict[str, bool | int | float | str] = {
    "sd_vae": "Automatic",
    "samples_format": "png",
    "enable_pnginfo": True,
    "CLIP_stop_at_last_layers": 1,
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
    return {**chosen, **FIXED, **KEPT, **changed}


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
    return card, kept


def preview_every_steps(options: dict[str, Any]) -> int | None:
    """Steps between two previews of a caller with these options; None for no previews."""
    wanted = {**KEPT, **options}
    return wanted[PREVIEW_EVERY] if wanted[PREVIEWS] and wanted[PREVIEW_EVERY] > 0 else None
