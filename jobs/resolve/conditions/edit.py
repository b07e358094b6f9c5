"""Resolve the picture to edit: a model that edits needs one, and no other model takes one."""

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.conditions.edit import ResolvedEdit
from jobs.requests.conditions.families import ModelKind
from jobs.requests.request import GenerateRequest
from jobs.requests.start.mask import Area, ResolvedMask


def resolve_edit(
    request: GenerateRequest, card: ModelCard, catalog: Catalog, mask: ResolvedMask | None
) -> ResolvedEdit | None:
    """The picture to edit; None for a model that edits none.

    Args:
        request: of the caller.
        card: of its model.
        catalog: names the models that edit.
        mask: of the request.

    Raises:
        InvalidRequestError: the model needs a picture, or takes none; or the request also paints around one.
    """
    asked = request.edit
    if card.kind is not ModelKind.EDIT:
        if asked is not None:
            raise InvalidRequestError(_no_editor(card, catalog), field="edit")
        return None
    if asked is None:
        raise InvalidRequestError(
            f"model {card.id!r} edits a picture as the prompt says, and draws none without: give edit.image",
            field="edit.image",
        )
    if request.outpaint is not None:
        raise InvalidRequestError(
            f"model {card.id!r} sees the whole of edit.image, so it cannot paint around a picture; leave outpaint out",
            field="outpaint",
        )
    if mask is not None and mask.area is Area.MASKED and not mask.paste:
        raise InvalidRequestError(
            "the part of edit.image under a mask of the area 'masked' is seen only where the result is pasted; "
            "leave mask.paste out, or take area 'whole'",
            field="mask.paste",
        )
    scale = card.image_cfg_scale if asked.image_cfg_scale is None else asked.image_cfg_scale
    return ResolvedEdit(image=asked.image, image_cfg_scale=scale, fit=asked.fit)


def _no_editor(card: ModelCard, catalog: Catalog) -> str:
    editors = ", ".join(each.id for each in catalog.models if each.kind is ModelKind.EDIT) or "none"
    return (
        f"model {card.id!r} does not edit pictures as a prompt says; models that do: {editors}. "
        "To start from a picture, give init"
    )
