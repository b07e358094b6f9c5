"""The second pass in requests: its size and steps, its cost, and what is refused."""

from typing import Any

import pytest

from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.queue.order import cost_of
from jobs.requests.enlarging import HiresUpscaler
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.start.plan import Pass, StepPlan
from jobs.requests.tasks import dump_request, read_request
from jobs.resolve.limits import Limits
from jobs.resolve.request import resolve

KEPT = "sha256:" + 64 * "0"


def asked(catalog: Catalog, limits: Limits | None = None, **fields: Any) -> ResolvedRequest:
    request = GenerateRequest.model_validate({"prompt": "a red apple", **fields})
    return resolve(request, catalog, limits=limits or Limits())


def test_the_second_pass_runs_as_many_steps_as_the_first_at_twice_the_size(catalog: Catalog) -> None:
    request = asked(catalog, hires={})
    assert request.hires is not None
    assert (request.hires.upscaler, request.hires.strength) == (HiresUpscaler.LATENT, 0.7)
    assert request.passes == (Pass(StepPlan(25), 64, 64), Pass(StepPlan(35, 10), 128, 128))
    assert request.steps_run == 50
    assert read_request(dump_request(request)) == request


@pytest.mark.parametrize("strength", [0.1, 0.37, 0.7, 1])
def test_its_steps_are_run_whatever_the_strength_is(strength: float, catalog: Catalog) -> None:
    request = asked(catalog, hires={"strength": strength, "steps": 9}, steps=4)
    assert request.passes[1].plan.run == 9


@pytest.mark.parametrize(("scale", "size"), [(1.5, (96, 80)), (1.3, (80, 64)), (1.13, (80, 48))])
def test_its_size_is_the_nearest_that_the_model_can_make(
    scale: float, size: tuple[int, int], catalog: Catalog
) -> None:
    request = asked(catalog, width=64, height=48, hires={"scale": scale})
    assert request.hires is not None
    assert (request.hires.width, request.hires.height) == size


@pytest.mark.parametrize(
    ("sides", "size"),
    [
        ({"width": 128, "height": 96}, (128, 96)),
        ({"width": 112}, (112, 80)),
        ({"height": 96}, (128, 96)),
    ],
)
def test_its_size_is_the_one_that_is_given_and_a_missing_side_follows_the_shape(
    sides: dict[str, int], size: tuple[int, int], catalog: Catalog
) -> None:
    request = asked(catalog, width=64, height=48, hires=sides)
    assert request.hires is not None
    assert (request.hires.scale, request.hires.width, request.hires.height) == (None, *size)
    assert read_request(dump_request(request)) == request


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        (
            {"hires": {"scale": 3}},
            "hires.scale",
            "192 x 192 px of 64 x 64, and model 'pocket' can make 128 px",
        ),
        ({"hires": {"scale": 1.05}}, "hires.scale", "leaves 64 x 64 px as they are"),
        ({"hires": {"width": 144, "height": 144}}, "hires.width", "48 to 128 px"),
        ({"hires": {"width": 96, "height": 100}}, "hires.height", "not a multiple of 16"),
        ({"hires": {"width": 64, "height": 64}}, "hires.width", "is not larger than the first"),
        ({"hires": {"height": 48}}, "hires.height", "48 x 48 px is not larger"),
        ({"hires": {"width": 128, "scale": 2}}, "hires.width", "give either hires.scale, or"),
        ({"hires": {"strength": 0.05}}, "hires.strength", "give a strength of 0.1 or more"),
        (
            {"hires": {}, "init": {"image": KEPT}, "mask": {"image": KEPT}},
            "hires",
            "would paint over what a mask keeps",
        ),
        ({"hires": {}, "init": {"image": KEPT}, "outpaint": {"left": 16}}, "hires", "what a mask keeps"),
    ],
)
def test_what_cannot_be_made_names_its_field_and_limit(
    fields: dict[str, Any], field: str, words: str, catalog: Catalog
) -> None:
    with pytest.raises(InvalidRequestError, match=words) as refused:
        asked(catalog, **fields)
    assert refused.value.field == field


def test_it_costs_as_much_more_as_its_picture_is_larger(catalog: Catalog) -> None:
    plain, second = cost_of(asked(catalog)), cost_of(asked(catalog, hires={}))
    assert second == pytest.approx(5 * plain, rel=0.05)
    assert cost_of(asked(catalog, hires={"upscaler": "x4plus"})) > second + 40


def test_a_job_that_costs_too_much_names_it(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match="would cost") as refused:
        asked(catalog, Limits(cost=100), hires={})
    assert refused.value.field == "hires"


@pytest.mark.parametrize(("steps", "strength"), [(1, 0.7), (175, 0.7), (176, 0.704), (250, 1.0)])
def test_a_strength_that_nobody_gave_plans_no_more_steps_than_may_be(
    steps: int, strength: float, catalog: Catalog
) -> None:
    hires = asked(catalog, steps=steps, hires={}).hires
    assert hires is not None
    assert (hires.steps, hires.strength) == (steps, strength)
