"""Masks of requests: what is refused, and the size of what is drawn."""

from typing import Any

import pytest

from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.queue.order import cost_of
from jobs.requests.pictures import PictureFacts
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.tasks import dump_request, read_request
from jobs.resolve.request import resolve

WHOLE, MASK = "sha256:" + 64 * "0", "sha256:" + 64 * "1"
SOME, NONE, ALL = (0, 255), (0, 0), (255, 255)
Levels = tuple[tuple[int, int], ...]


def asked(catalog: Catalog, levels: Levels = (SOME,) * 3, width: int = 640, **fields: Any) -> ResolvedRequest:
    facts = {
        WHOLE: PictureFacts(width, 480, ((0, 255),) * 3),
        MASK: PictureFacts(width, 480, levels),
    }
    mask = {"image": MASK} | fields.pop("mask", {})
    wanted = {"prompt": "x", "init": {"image": WHOLE} | fields.pop("init", {}), "mask": mask, **fields}
    return resolve(GenerateRequest.model_validate(wanted), catalog, pictures=facts)


def test_the_mask_is_stored_with_what_was_asked(catalog: Catalog) -> None:
    request = asked(catalog, mask={"blur": 4, "grow": 2, "area": "masked"})
    assert request.mask is not None
    assert (request.mask.blur, request.mask.grow, request.mask.fill) == (4, 2, "original")
    assert read_request(dump_request(request)) == request


@pytest.mark.parametrize(
    ("levels", "mask"),
    [
        ((NONE,) * 3, {}),
        (((0, 127),) * 3, {}),
        ((ALL,) * 3, {"invert": True}),
        (((128, 255),) * 3, {"invert": True}),
        ((NONE,) * 3, {"soft": True}),
        ((SOME, SOME, SOME, NONE), {}),
        ((NONE, NONE, NONE, ALL), {"invert": True}),
    ],
)
def test_a_mask_that_paints_nothing_is_refused(
    levels: Levels, mask: dict[str, Any], catalog: Catalog
) -> None:
    with pytest.raises(InvalidRequestError, match="the mask is empty") as refused:
        asked(catalog, levels, mask=mask)
    assert refused.value.field == "mask.image"


@pytest.mark.parametrize(
    ("levels", "mask"),
    [
        ((ALL,) * 3, {}),
        ((SOME,) * 3, {"invert": True}),
        (((0, 1),) * 3, {"soft": True}),
        ((NONE, NONE, NONE, SOME), {}),
        ((NONE, NONE, (0, 255)), {}),
    ],
)
def test_a_mask_that_paints_something_is_not(levels: Levels, mask: dict[str, Any], catalog: Catalog) -> None:
    assert asked(catalog, levels, mask=mask).mask


def test_a_mask_needs_a_picture(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match=r"give init\.image") as refused:
        resolve(GenerateRequest.model_validate({"prompt": "x", "mask": {"image": MASK}}), catalog)
    assert refused.value.field == "mask"


def test_only_what_is_drawn_as_a_whole_takes_the_shape_of_the_picture(catalog: Catalog) -> None:
    whole, part = asked(catalog), asked(catalog, mask={"area": "masked"})
    assert (whole.width, whole.height) == (64, 48)
    assert (part.width, part.height) == (64, 64)


def test_a_picture_that_is_too_large_to_paste_into_is_refused(catalog: Catalog) -> None:
    assert asked(catalog, width=8000, mask={"area": "masked"}).mask
    with pytest.raises(InvalidRequestError, match="10000 x 480 pixels") as refused:
        asked(catalog, width=10_000, mask={"area": "masked"})
    assert refused.value.field == "mask.area"
    assert asked(catalog, width=10_000).mask


def test_a_picture_with_a_mask_is_encoded_at_any_strength(catalog: Catalog) -> None:
    costs = [cost_of(asked(catalog, init={"strength": strength}, width=480)) for strength in (0.999, 1.0)]
    assert costs[1] >= costs[0]
