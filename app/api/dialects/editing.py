"""The picture to edit, by the names of diffusers' pipeline and of Replicate's models.

A model of the kind ``edit`` gets its picture by the same field as any other its picture to start from.
"""

from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.conditions.families import ModelKind
from jobs.requests.request import GenerateRequest

SCALE = "image_guidance_scale"
_STARTS = ("mask", "outpaint")


class EditFields(BaseModel):
    """The field of an edit beside ``image``."""

    image_guidance_scale: float | None = Field(
        None,
        description="How closely a model that edits keeps to `image`; below 1 it is without guidance. For any other "
        "model, no effect.",
    )


class Edited(NamedTuple):
    """Native fields, and the caller's name of each of their parts."""

    fields: dict[str, Any]
    names: dict[str, str]


def edit_fields(
    fields: dict[str, Any],
    names: dict[str, str],
    body: EditFields,
    card: ModelCard,
    within: str = "",
    *,
    starts: bool,
) -> Edited:
    """Native fields of which ``init`` is the picture to edit, if the model edits one.

    As in diffusers, a scale of the picture below 1, or of the text of 1, guides by neither.

    Args:
        fields: native ones.
        names: the caller's name of each.
        body: of the request.
        card: of its model.
        within: what stands before a field's name in an error.
        starts: whether the caller gave a strength, so that the run also starts from the picture.

    Raises:
        InvalidRequestError: the scale is given by both names.
    """
    if card.kind is not ModelKind.EDIT:
        return Edited(fields, names)
    fields, names = dict(fields), dict(names)
    init, own = _as_dict(fields.get("init")), fields.get("edit")
    edit = _as_dict(own)
    if not edit and "image" in init:
        edit = {name: init[name] for name in ("image", "fit") if name in init}
        names["edit"] = names["edit.image"] = names.get("init.image", f"{within}init.image")
        if any(fields.get(name) is not None for name in _STARTS):
            fields["init"] = init if starts else {**init, "strength": 1.0}
        elif not starts:
            del fields["init"]
    scale = body.image_guidance_scale
    if scale is not None:
        if edit.get("image_cfg_scale", scale) != scale:
            raise InvalidRequestError(
                f"{SCALE} and edit.image_cfg_scale are the same: give one of them", field=within + SCALE
            )
        names["edit.image_cfg_scale"] = within + SCALE
        if 0 <= scale < 1:
            fields["cfg_scale"], scale = 1.0, 1.0
        edit["image_cfg_scale"] = scale
    if names.get("cfg_scale") != f"{within}cfg_scale" and fields.get("cfg_scale") == 1:
        edit["image_cfg_scale"] = 1.0
    if "image" in edit:
        fields["edit"] = edit
    return Edited(fields, names)


def without_effect(body: EditFields, wanted: GenerateRequest) -> list[str]:
    """The scale of a picture to edit, if there is none."""
    return [SCALE] if body.image_guidance_scale is not None and wanted.edit is None else []


def _as_dict(part: Any) -> dict[str, Any]:
    """The given fields of a native object."""
    if part is None or isinstance(part, dict):
        return dict(part or {})
    return {name: getattr(part, name) for name in part.model_fields_set}
