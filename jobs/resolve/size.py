"""Choose the size of a job's pictures."""

from math import log

from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest

Size = tuple[int, int]
"""Width and height in pixels."""


def resolve_size(request: GenerateRequest, card: ModelCard, like: Size | None = None) -> tuple[int, int]:
    """Width and height in pixels.

    Args:
        request: of the caller.
        card: of its model.
        like: of the picture that the run starts from: what is left out follows its shape. An outpainted one is rather
            drawn at its own size, if the model can. None without one.

    Raises:
        InvalidRequestError: the model cannot make this size.
    """
    width, height = request.width, request.height
    if like is not None and None in (width, height):
        own = None if request.outpaint is None else _own(like, width, height, card)
        width, height = own or _like(like[0] / like[1], width, height, card)
    return require_size(width or card.width, "width", card), require_size(
        height or card.height, "height", card
    )


def _own(like: Size, width: int | None, height: int | None, card: ModelCard) -> Size | None:
    """The size of the picture itself, to the nearest that the model can make; None if it is too large or too small."""
    if (width, height) != (None, None) or not all(card.min_px <= px <= card.max_px for px in like):
        return None
    each = card.multiple_px
    own = [min(max(round(px / each), -(-card.min_px // each)), card.max_px // each) for px in like]
    return each * own[0], each * own[1]


def _like(aspect: float, width: int | None, height: int | None, card: ModelCard) -> tuple[int, int]:
    """The size of nearly this aspect, and nearly as many pixels as the model's own, unless a side is given."""
    least, most, each = -(-card.min_px // card.multiple_px), card.max_px // card.multiple_px, card.multiple_px
    sides = [each * number for number in range(least, most + 1)]

    def near(px: float) -> list[int]:
        place = min(max(int(px / each) - least, 0), len(sides) - 1)
        return sides[place : place + 2]

    if width is not None:
        sizes = [(width, side) for side in near(width / aspect)]
    elif height is not None:
        sizes = [(side, height) for side in near(height * aspect)]
    else:
        sizes = [(side, other) for side in sides for other in near(side / aspect)]

    def distance(size: tuple[int, int]) -> float:
        shape = abs(log(size[0] / size[1] / aspect))
        pixels = abs(log(size[0] * size[1] / (card.width * card.height))) / 2
        return shape + (pixels if width is None and height is None else 0)

    return min(sizes, key=distance)


def require_size(value: int, field: str, card: ModelCard) -> int:
    """A width or height in pixels, if a model can make it.

    Raises:
        InvalidRequestError: it cannot; the error names ``field``.
    """
    if not card.min_px <= value <= card.max_px:
        raise InvalidRequestError(
            f"{field} {value} is outside what model {card.id!r} can make: {card.min_px} to {card.max_px} px",
            field=field,
        )
    if value % card.multiple_px:
        raise InvalidRequestError(
            f"{field} {value} is not a multiple of {card.multiple_px}, which model {card.id!r} needs",
            field=field,
        )
    return value
