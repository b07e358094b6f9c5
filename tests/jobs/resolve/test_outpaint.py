"""Outpainting in requests: what is refused, the size of what is drawn, and the mask that comes of it."""

from typing import Any

import pytest
from pydantic import ValidationError

from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.requests.pictures import PictureFacts
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.start.mask import Area, Fill
from jobs.requests.tasks import dump_request, read_request
from jobs.resolve.request import resolve

WHOLE, MASK = "sha256:" + 64 * "0", "sha256:" + 64 * "1"


def asked(catalog: Catalog, picture: tuple[int, int] = (64, 64), **fields: Any) -> ResolvedRequest:
    facts = {
        WHOLE: PictureFacts(*picture, ((0, 255),) * 3),
        MASK: PictureFacts(*picture, ((0, 0),) * 3),
    }
    wanted = {"prompt": "x", "init": {"image": WHOLE}, **fields}
    return resolve(GenerateRequest.model_validate(wanted), catalog, pictures=facts)


def test_what_is_added_is_a_mask_whose_surroundings_are_drawn(catalog: Catalog) -> None:
    request = asked(catalog, outpaint={"right": 16})
    assert request.mask is not None
    assert (request.mask.image, request.mask.area, request.mask.fill) == (None, Area.MASKED, Fill.BLUR)
    assert read_request(dump_request(request)) == request


def test_a_mask_may_say_how_it_is_painted_and_needs_no_picture(catalog: Catalog) -> None:
    request = asked(catalog, outpaint={"right": 16}, mask={"blur": 4, "area": "whole"})
    assert request.mask is not None
    assert (request.mask.blur, request.mask.area) == (4, Area.WHOLE)
    assert asked(catalog, outpaint={"right": 16}, mask={"image": MASK}).mask  # which paints nothing by itself


def test_without_anything_added_a_mask_needs_a_picture(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match="give the picture of the mask") as refused:
        asked(catalog, mask={"blur": 4})
    assert refused.value.field == "mask.image"


@pytest.mark.parametrize(
    ("picture", "outpaint", "given", "size"),
    [
        ((64, 64), {"right": 16}, {}, (80, 64)),  # its own size, which the model can draw
        ((64, 64), {"left": 32, "right": 32, "up": 16}, {}, (128, 80)),
        ((60, 60), {"down": 30}, {}, (64, 96)),  # the nearest
        ((1000, 500), {"left": 100}, {}, (96, 48)),  # the shape of what is too large
        ((64, 64), {"right": 16}, {"width": 64}, (64, 48)),
        ((64, 64), {"right": 16}, {"width": 48, "height": 48}, (48, 48)),
    ],
)
def test_a_size_that_is_left_out_is_that_of_the_larger_picture(
    picture: tuple[int, int],
    outpaint: dict[str, int],
    given: dict[str, int],
    size: tuple[int, int],
    catalog: Catalog,
) -> None:
    request = asked(catalog, picture, outpaint=outpaint, **given)
    assert (request.width, request.height) == size


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"outpaint": {}}, "outpaint", "for one side at least"),
        ({"outpaint": {"left": 0}}, "outpaint", "for one side at least"),
        ({"outpaint": {"up": 129}}, "outpaint.up", "129 pixels are more than model 'pocket' can draw, 128"),
        ({"outpaint": {"left": 16}, "init": None}, "outpaint", "give init.image"),
        ({"outpaint": {"left": 16}, "width": 72}, "width", "multiple of 16"),
        ({"outpaint": {"left": 16}, "height": 256}, "height", "48 to 128 px"),
    ],
)
def test_what_cannot_be_drawn_names_its_field_and_limit(
    fields: dict[str, Any], field: str, words: str, catalog: Catalog
) -> None:
    with pytest.raises(InvalidRequestError, match=words) as refused:
        asked(catalog, **fields)
    assert refused.value.field == field


def test_a_result_that_is_too_large_is_refused(catalog: Catalog) -> None:
    assert asked(catalog, (2048, 2000), outpaint={"down": 48}).outpaint
    with pytest.raises(InvalidRequestError, match="2049 x 2048 pixels") as refused:
        asked(catalog, (2048, 2000), outpaint={"down": 48, "left": 1})
    assert refused.value.field == "outpaint"


@pytest.mark.parametrize("outpaint", [{"left": -1}, {"left": 4097}, {"left": 1.5}, {"above": 3}])
def test_sides_are_whole_numbers_within_bounds(outpaint: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GenerateRequest.model_validate({"prompt": "x", "outpaint": outpaint})
