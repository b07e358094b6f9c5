"""Sizes as other services write them: ``512x768``, or the proportions ``2:3``."""

import math
import re

from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError

SIZE = r"^(auto|[0-9]{1,4}x[0-9]{1,4})$"
_RATIO = re.compile(r"([1-9][0-9]{0,3}):([1-9][0-9]{0,3})")


def in_any_case(size: object) -> object:
    """``512X768`` and ``AUTO`` as ``SIZE`` has them."""
    return size.lower() if isinstance(size, str) else size


def size_of(text: str | None) -> dict[str, int]:
    """The width and height of a text that ``SIZE`` matches; empty for the model's own."""
    if text in {None, "auto"}:
        return {}
    width, height = (int(px) for px in str(text).split("x"))
    return {"width": width, "height": height}


def size_of_ratio(ratio: str, card: ModelCard, *, field: str) -> dict[str, int]:
    """The size of these proportions whose area is nearest to the model's default size.

    Each side is a multiple of what the model needs, and within its limits: a ratio beyond them comes as near as it may.

    Raises:
        InvalidRequestError: the text is no ratio.
    """
    found = _RATIO.fullmatch(ratio.strip())
    if found is None:
        raise InvalidRequestError(f"{ratio!r} is no ratio; give one such as 16:9", field=field)
    shape = int(found[1]) / int(found[2])
    area = card.width * card.height
    return {
        "width": nearest(math.sqrt(area * shape), card),
        "height": nearest(math.sqrt(area / shape), card),
    }


def nearest(px: float, card: ModelCard) -> int:
    """The nearest width or height that a model makes."""
    unit = card.multiple_px
    least, most = math.ceil(card.min_px / unit), card.max_px // unit
    return unit * min(max(round(px / unit), least), most)
