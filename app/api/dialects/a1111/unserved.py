"""Fields of A1111's that nothing here reads: answers name those that ask for something."""

from collections.abc import Mapping
from typing import Any

from app.api.dialects.a1111.options import FIXED, KEPT, MODEL
from app.api.dialects.customary import notes_on

_MOST_NAMED, _MOST_CHARS = 20, 50
# How a server keeps files and settings, which no client can tell from the pictures.
_HOUSEKEEPING = frozenset(
    (
        "do_not_save_samples",
        "do_not_save_grid",
        "save_images",
        "override_settings_restore_afterwards",
        "image_cfg_scale",  # read where there is a picture
        "script_args",
    )
)
# What clients send of their own accord, and what everything here is made with.
_USUAL: dict[str, Any] = {
    "s_noise": 1,
    "eta": 1,
    "mask_round": True,
}
_WITH_ETA = "ddim"


def notes_on_unserved(
    fields: Mapping[str, Any], settings: Mapping[str, Any], sampler: str
) -> tuple[str, ...]:
    """A sentence on each unknown field that asks for something, and one on how many more there are.

    Args:
        fields: of a body that are not known.
        settings: its ``override_settings``.
        sampler: its name.
    """
    named = [name for name, value in fields.items() if _asks(name, value, sampler)]
    known = {MODEL, *KEPT}
    named += [
        f"override_settings.{name}"
        for name, value in settings.items()
        if name not in known and value and FIXED.get(name) != value
    ]
    notes = notes_on([name[:_MOST_CHARS] for name in named[:_MOST_NAMED]])
    more = len(named) - _MOST_NAMED
    return (*notes, f"{more} more fields have no effect on this server") if more > 0 else notes


def _asks(name: str, value: Any, sampler: str) -> bool:
    """Whether a field asks for something: clients send many that are empty, zero or as usual."""
    if not value or name in _HOUSEKEEPING:
        return False
    return value != _USUAL.get(name) or (name == "eta" and sampler.lower() == _WITH_ETA)
