"""Pixels added around a picture and painted: where they are, and what stays."""

from typing import Any

import pytest
import torch

from jobs.requests.request import ResolvedRequest
from tests.brought_pictures import scene
from tests.worker.sampling.starting import MASK, canvas_with, from_picture, mask_of, run
from worker.models.registry import ModelRegistry
from worker.pictures.levels import levels

NOTHING = mask_of(0, 0, 0, 0)


def asked(models: ModelRegistry, outpaint: dict[str, int], **fields: Any) -> ResolvedRequest:
    width = 64 + outpaint.get("left", 0) + outpaint.get("right", 0)
    height = 64 + outpaint.get("up", 0) + outpaint.get("down", 0)
    sized = {"width": width, "height": height} | fields
    return from_picture(
        models.catalog, sized.pop("strength", 0.8), prompt="a blue fish", outpaint=outpaint, **sized
    )


ONE_SIDE, THREE_SIDES = {"right": 16}, {"left": 16, "up": 16, "down": 32}


@pytest.mark.parametrize(
    ("outpaint", "fill", "strength"),
    [  # every pair of values
        (ONE_SIDE, "original", 0.5),
        (ONE_SIDE, "blur", 1),
        (ONE_SIDE, "noise", 0.5),
        (ONE_SIDE, "nothing", 1),
        (THREE_SIDES, "original", 1),
        (THREE_SIDES, "blur", 0.5),
        (THREE_SIDES, "noise", 1),
        (THREE_SIDES, "nothing", 0.5),
    ],
)
def test_the_picture_s_own_levels_stay_and_the_rest_is_painted(
    outpaint: dict[str, int], fill: str, strength: float, models: ModelRegistry
) -> None:
    request = asked(models, outpaint, steps=3, strength=strength, mask={"fill": fill})
    start = canvas_with(request, NOTHING)
    made = (run(request, models, start=start).pixels * 255).round().to(torch.uint8)
    assert made.shape == (3, request.height, request.width)
    left, up = outpaint.get("left", 0), outpaint.get("up", 0)
    assert torch.equal(made[:, up : up + 64, left : left + 64], levels(scene(64, 64)))
    assert start.mask is not None
    assert start.paste is not None
    new = start.mask[0] > 0
    assert not new[up : up + 64, left : left + 64].any()
    assert new.sum() == request.width * request.height - 64 * 64
    if fill == "original":
        repeated = start.pixels[:, new].int()
        assert ((made[:, new].int() - repeated).abs() > 2).float().mean() > 0.5


def test_new_pixels_may_repeat_the_edge_before_they_are_painted(models: ModelRegistry) -> None:
    start, own = (
        canvas_with(asked(models, {"left": 16, "down": 16}, mask={"fill": "original"})),
        levels(scene(64, 64)),
    )
    assert torch.equal(start.pixels[:, :64, :16], own[:, :, :1].expand(3, 64, 16))
    assert torch.equal(start.pixels[:, 64:, 16:], own[:, -1:].expand(3, 16, 64))


def test_a_mask_is_painted_beside_what_is_added(models: ModelRegistry) -> None:
    start = canvas_with(asked(models, {"left": 16}, mask={"image": MASK}), mask_of(20, 20, 30, 30))
    assert start.mask is not None
    painted = start.mask[0] > 0
    assert painted[:, :16].all()
    assert painted[20:30, 36:46].all()
    assert painted.sum() == 16 * 64 + 100


def test_a_side_of_a_large_picture_is_drawn_at_the_picture_s_own_scale(models: ModelRegistry) -> None:
    """Not enlarged, as the surroundings of a small mask are."""
    request = asked(models, {"right": 16}, width=96, height=96)
    big = scene(300, 80)
    start = canvas_with(request, mask_of(0, 0, 0, 0, 80), big)
    assert start.paste is not None
    left, top, right, bottom = start.paste.box
    assert (right, top, bottom) == (316, 0, 80)
    assert right - left == 96
    made = (run(request, models, start=start).pixels * 255).round().to(torch.uint8)
    assert made.shape == (3, 80, 316)
    assert torch.equal(made[:, :, :300], levels(big))


def test_as_a_whole_the_larger_picture_is_fitted_to_the_size(models: ModelRegistry) -> None:
    request = asked(models, {"right": 64}, width=96, height=48, mask={"area": "whole"}, steps=2)
    start = canvas_with(request, NOTHING)
    assert tuple(start.shape) == (3, 48, 96)
    assert tuple(run(request, models, start=start).pixels.shape) == (3, 48, 96)
