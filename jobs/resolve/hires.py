"""Resolve the second pass: fill in its size and steps, and refuse what the model cannot make."""

from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.enlarging import Hires, ResolvedHires
from jobs.requests.start.mask import ResolvedMask
from jobs.requests.start.plan import least_strength, plan_from_picture
from jobs.resolve.init import require_planned
from jobs.resolve.size import Size, require_size

DEFAULT_SCALE = 2.0


def resolve_hires(
    asked: Hires | None, card: ModelCard, size: Size, steps: int, mask: ResolvedMask | None
) -> ResolvedHires | None:
    """The second pass of a request; None without one.

    Args:
        asked: of the request.
        card: of its model.
        size: width and height of the first pass.
        steps: of the request, with its default.
        mask: of the request.

    Raises:
        InvalidRequestError: there is a mask, the model cannot make this size, or too many steps would be planned.
    """
    if asked is None:
        return None
    if mask is not None:
        raise InvalidRequestError(
            "a second pass would paint over what a mask keeps; leave hires out, or take upscale",
            field="hires",
        )
    if asked.width is None and asked.height is None:
        scale: float | None = asked.scale or DEFAULT_SCALE
        width, height = _by_scale(asked.scale or DEFAULT_SCALE, card, size)
    else:
        scale = None
        width, height = _by_sides(asked, card, size)
    run = asked.steps or steps
    strength = asked.strength
    if "strength" not in asked.model_fields_set:
        strength = max(strength, least_strength(run, exact=True))
    require_planned(plan_from_picture(run, strength, exact=True), strength, "hires.strength")
    return ResolvedHires(
        scale=scale,
        upscaler=asked.upscaler,
        strength=strength,
        steps=run,
        width=width,
        height=height,
    )


def _by_scale(scale: float, card: ModelCard, size: Size) -> Size:
    width, height = (_nearest(px * scale, card) for px in size)
    if max(width, height) > card.max_px:
        raise InvalidRequestError(
            f"a scale of {scale:g} makes {width} x {height} px of {size[0]} x {size[1]}, and model {card.id!r} "
            f"can make {card.max_px} px at most",
            field="hires.scale",
        )
    if (width, height) == size:
        raise InvalidRequestError(
            f"a scale of {scale:g} leaves {width} x {height} px as they are: the sides of model "
            f"{card.id!r} are multiples of {card.multiple_px}",
            field="hires.scale",
        )
    return width, height


def _by_sides(asked: Hires, card: ModelCard, size: Size) -> Size:
    field = "hires.width" if asked.width is not None else "hires.height"
    if asked.scale is not None:
        raise InvalidRequestError("give either hires.scale, or the width and height", field=field)
    width = asked.width or _nearest((asked.height or 0) * size[0] / size[1], card)
    height = asked.height or _nearest((asked.width or 0) * size[1] / size[0], card)
    if width < size[0] or height < size[1] or (width, height) == size:
        raise InvalidRequestError(
            f"a second pass of {width} x {height} px is not larger than the first, which has {size[0]} x {size[1]}",
            field=field,
        )
    # One that follows from the other is named by it.
    require_size(width, "hires.width" if asked.width is not None else field, card)
    require_size(height, "hires.height" if asked.height is not None else field, card)
    return width, height


def _nearest(px: float, card: ModelCard) -> int:
    """A side of the second pass, to the nearest multiple."""
    return card.multiple_px * int(px / card.multiple_px + 0.5)
