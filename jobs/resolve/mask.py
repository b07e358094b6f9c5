"""Resolve a mask: refuse one without a picture to paint on, and one that paints nothing anew."""

from collections.abc import Mapping

from jobs.errors import InvalidRequestError
from jobs.requests.pictures import PictureFacts
from jobs.requests.start.init import Init
from jobs.requests.start.mask import REPAINTED, Area, Mask, ResolvedMask

MOST_PASTED_PIXELS = 4_194_304


def resolve_mask(
    asked: Mask | None, init: Init | None, pictures: Mapping[str, PictureFacts]
) -> ResolvedMask | None:
    """The mask of a request; None without one.

    Args:
        asked: of the request.
        init: the picture that it belongs to.
        pictures: what is known of those that the request names; nothing before they are read.

    Raises:
        InvalidRequestError: there is no picture, it is too large to be pasted into, or the mask is empty.
    """
    if asked is None:
        return None
    if init is None:
        raise InvalidRequestError("a mask needs a picture to paint on: give init.image", field="mask")
    if (facts := pictures.get(asked.image)) is not None:
        _require_some(asked, facts)
    whole = pictures.get(init.image)
    if whole is not None and asked.area is Area.MASKED and whole.width * whole.height > MOST_PASTED_PIXELS:
        raise InvalidRequestError(
            f"the picture has {whole.width} x {whole.height} pixels, and area 'masked' pastes into one of "
            f"{MOST_PASTED_PIXELS} pixels at most; make it smaller, or take area 'whole'",
            field="mask.area",
        )
    return ResolvedMask(**{name: getattr(asked, name) for name in ResolvedMask.model_fields})


def _require_some(asked: Mask, facts: PictureFacts) -> None:
    channels = facts.levels[3:] or facts.levels[:3]
    least, most = min(low for low, _ in channels), max(high for _, high in channels)
    if asked.invert:
        least, most = 255 - most, 255 - least
    if most < (1 if asked.soft else REPAINTED):
        what = "opaque" if facts.levels[3:] else "white"
        raise InvalidRequestError(
            f"the mask is empty: no part of it is {what}, and that is what is painted anew"
            + (" of its inverse" if asked.invert else "; give mask.invert if it is meant the other way"),
            field="mask.image",
        )
