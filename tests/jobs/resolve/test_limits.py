"""The requests that an operator's limits allow."""

from typing import Any

import pytest

from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.queue.order import cost_of
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.limits import MAX_TIMEOUT_S, Limits
from jobs.resolve.request import resolve


def asked(catalog: Catalog, limits: Limits, **fields: Any) -> ResolvedRequest:
    return resolve(
        GenerateRequest.model_validate({"prompt": "a red apple", **fields}), catalog, limits=limits
    )


def test_a_timeout_that_was_not_asked_for_is_cut_to_what_is_allowed(catalog: Catalog) -> None:
    assert asked(catalog, Limits(timeout_s=60)).timeout_s == 60
    assert asked(catalog, Limits()).timeout_s == 3600
    assert asked(catalog, Limits(timeout_s=60), timeout_s=60).timeout_s == 60


def test_a_longer_timeout_is_refused(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match=r"60 s at most on this server, not 60\.5") as refused:
        asked(catalog, Limits(timeout_s=60), timeout_s=60.5)
    assert refused.value.field == "timeout_s"


def test_the_longest_timeout_of_a_request_is_the_longest_that_may_be_allowed() -> None:
    assert GenerateRequest(prompt="x", timeout_s=MAX_TIMEOUT_S).timeout_s == MAX_TIMEOUT_S
    with pytest.raises(ValueError, match="less than or equal to 86400"):
        GenerateRequest(prompt="x", timeout_s=MAX_TIMEOUT_S + 1)


def test_a_job_may_cost_just_as_much_as_is_allowed(catalog: Catalog) -> None:
    cost = cost_of(asked(catalog, Limits(), steps=100))
    assert asked(catalog, Limits(cost=cost), steps=100).steps == 100
    with pytest.raises(
        InvalidRequestError, match=f"would cost {cost} units of work, and .* {cost - 1} at most"
    ):
        asked(catalog, Limits(cost=cost - 1), steps=100)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"steps": 250}, "steps"),
        ({"num_images": 16}, "num_images"),
        ({"select": {"candidates": 256}, "steps": 50}, "select"),
        ({"guidance": {"preset": "universal"}, "num_images": 2}, "guidance"),
        ({"width": 128, "height": 112, "steps": 26}, "width"),
        ({"upscale": {"factor": 2}, "num_images": 1, "steps": 30}, "upscale"),
    ],
)
def test_the_field_that_weighs_most_is_named(fields: dict[str, Any], field: str, catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match="without what is asked for here it would cost") as refused:
        asked(catalog, Limits(cost=60), **fields)
    assert refused.value.field == field


def test_where_even_the_defaults_cost_too_much_no_field_is_to_blame(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match=r"5 at most$") as refused:
        asked(catalog, Limits(cost=5))
    assert refused.value.field is None
