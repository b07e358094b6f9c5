"""Resolve outpainting: refuse what a model cannot draw, and what no picture may be."""

from collections.abc import Mapping

from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.pictures import PictureFacts
from jobs.requests.request import GenerateRequest
from jobs.requests.start.outpaint import ResolvedOutpaint
from jobs.resolve.mask import MOST_PASTED_PIXELS


def resolve_outpaint(
    request: GenerateRequest, card: ModelCard, pictures: Mapping[str, PictureFacts]
) -> ResolvedOutpaint | None:
    """The pixels to add around a picture; None if there are none to add.

    Args:
        request: of the caller.
        card: of its model.
        pictures: what is known of those that the request names; nothing before they are read.

    Raises:
        InvalidRequestError: there is no picture, no side has any, one has more than the model can draw, or the result
            would be too large.
    """
    if request.outpaint is None:
        return None
    if request.init is None:
        raise InvalidRequestError("there is no picture to paint around: give init.image", field="outpaint")
    outpaint = ResolvedOutpaint(**request.outpaint.model_dump())
    if not any(outpaint.sides.values()):
        raise InvalidRequestError(
            "give the pixels to add for one side at least: left, right, up or down", field="outpaint"
        )
    for side, px in outpaint.sides.items():
        if px > card.max_px:
            raise InvalidRequestError(
                f"{px} pixels are more than model {card.id!r} can draw, {card.max_px}; add them in several jobs",
                field=f"outpaint.{side}",
            )
    if (whole := pictures.get(request.init.image)) is not None:
        width, height = outpaint.grown(whole.width, whole.height)
        if width * height > MOST_PASTED_PIXELS:
            raise InvalidRequestError(
                f"the result would have {width} x {height} pixels, and at most {MOST_PASTED_PIXELS} can be painted "
                "into; make the picture smaller, or add less",
                field="outpaint",
            )
    return outpaint
