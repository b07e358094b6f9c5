"""Resolve the second pass: fill in its size and steps, and refuse what the model cannot make."""

from jobs.catalog.catalog import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.enlarging import Hires, ResolvedHires
from jobs.requests.start.mask import ResolvedMask
from jobs.requests.start.plan import plan_from_picture
from jobs.resolve.init import require_planned
from jobs.resolve.size import Size


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
    width, height = (_scaled(px, asked.scale, card) for px in size)
    if max(width, height) > card.max_px:
        raise InvalidRequestError(
            f"a scale of {asked.scale:g} makes {width} x {height} px of {size[0]} x {size[1]}, and model {card.id!r} "
            f"can make {card.max_px} px at most",
            field="hires.scale",
        )
    if (width, height) == size:
        raise InvalidRequestError(
            f"a scale of {asked.scale:g} leaves {width} x {height} px as they are: the sides of model "
            f"{card.id!r} are multiples of {card.multiple_px}",
            field="hires.scale",
        )
    run = asked.steps or steps
    require_planned(plan_from_picture(run, asked.strength, exact=True), asked.strength, "hires.strength")
    return ResolvedHires(
        scale=asked.scale,
        upscaler=asked.upscaler,
        strength=asked.strength,
        steps=run,
        width=width,
        height=height,
    )


def _scaled(px: int, scale: float, card: ModelCard) -> int:
    """A side of the second pass, to the nearest multiple."""
    return card.multiple_px * int(px * scale / card.multiple_px + 0.5)
