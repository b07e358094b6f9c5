"""Image prompts as clients of A1111's extension send them: units of ControlNet whose module is an ``ip-adapter``."""

from typing import Any

from app.api.dialects.a1111.controlnet.units import FIELD, Unit, used_units
from app.api.dialects.refusals import NotSupportedError
from jobs.catalog.catalog import Catalog
from jobs.catalog.image_prompts import ImagePromptCard

MODULES = ("ip-adapter-auto", "ip-adapter_clip_sd15")  # the names that lists show; others begin alike
_UNSERVED = ("face_id", "pulid")  # what is in the names of modules that need a network which recognises faces
_AUTOMATIC = {"", "none"}


def image_prompts_of(
    script: Any, catalog: Catalog, steps: int, picture: str | None = None
) -> list[dict[str, Any]]:
    """The native image prompts that a script's units stand for.

    Args:
        script: of the request; None for none.
        catalog: the adapters, which clients know by their ids or their files.
        steps: of the run.
        picture: of ``img2img``, for units without one.

    Raises:
        InvalidRequestError: a unit cannot be read or has no picture.
        NotSupportedError: it would need another network.
    """
    return [
        _image_prompt(unit, f"{FIELD}.{number}", catalog, steps, picture)
        for number, unit in used_units(script)
        if unit.is_image_prompt
    ]


def _image_prompt(
    unit: Unit, field: str, catalog: Catalog, steps: int, picture: str | None
) -> dict[str, Any]:
    if any(name in unit.module.lower() for name in _UNSERVED):
        raise NotSupportedError(
            f"module {unit.module[:50]!r} needs a network that recognises faces; there are: {', '.join(MODULES)}",
            field=f"{field}.module",
        )
    prompt = unit.counted(field, steps, picture)
    if unit.model_name.lower() in _AUTOMATIC:
        return prompt
    card = _card(unit.model_name, catalog)
    return prompt | {"adapter": unit.model_name if card is None else card.id}


def _card(name: str, catalog: Catalog) -> ImagePromptCard | None:
    """The adapter of this id or of this file, as clients know either."""
    return next((card for card in catalog.image_prompts if name in (card.id, card.path.stem)), None)
