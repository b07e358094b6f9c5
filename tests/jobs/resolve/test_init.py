"""The plan of a run that starts from a picture."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.queue.order import cost_of
from jobs.requests.enlarging import Hires
from jobs.requests.pictures import PictureFacts
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.start.init import Init
from jobs.requests.start.plan import MIN_STRENGTH, StepPlan, plan_from_picture
from jobs.requests.tasks import dump_request, read_request
from jobs.resolve.init import resolve_init
from jobs.resolve.limits import Limits
from jobs.resolve.request import resolve

KEPT = "sha256:" + 64 * "0"


def asked(catalog: Catalog, limits: Limits | None = None, **fields: Any) -> ResolvedRequest:
    init = {"image": KEPT} | fields.pop("init", {})
    request = GenerateRequest.model_validate({"prompt": "a red apple", "init": init, **fields})
    return resolve(request, catalog, limits=limits or Limits())


@pytest.mark.parametrize(
    ("steps", "strength", "run"),
    [(50, 0.8, 40), (30, 0.834, 25), (30, 0.866, 25), (100, 0.29, 28), (10, 1, 10), (20, 0.05, 1)],
)
def test_as_many_steps_run_as_in_diffusers(steps: int, strength: float, run: int, catalog: Catalog) -> None:
    plan = asked(catalog, steps=steps, init={"strength": strength}).plan
    assert plan == StepPlan(steps, steps - run)


def test_the_defaults_are_those_of_diffusers(catalog: Catalog) -> None:
    init = asked(catalog).init
    assert init is not None
    assert (init.strength, init.exact_steps, init.fit) == (0.8, False, "crop")
    assert (init.steps_planned, init.steps_run) == (25, 20)


def test_exact_steps_are_the_end_of_a_longer_plan(catalog: Catalog) -> None:
    plan = asked(catalog, steps=20, init={"strength": 0.3, "exact_steps": True}).plan
    assert plan == StepPlan(66, 46)


@given(steps=st.integers(1, 250), strength=st.floats(0.001, 1), exact=st.booleans())
def test_no_plan_runs_more_steps_than_were_asked_for(steps: int, strength: float, exact: bool) -> None:
    plan = plan_from_picture(steps, strength, exact=exact)
    assert 0 <= plan.run <= steps
    assert plan.first >= 0
    assert plan.run == steps or not exact
    assert len(plan.indexes) == plan.run


@given(steps=st.integers(1, 250), strength=st.floats(MIN_STRENGTH, 0.999), exact=st.booleans())
def test_the_strength_that_a_refusal_names_is_enough(steps: int, strength: float, exact: bool) -> None:
    wanted = Init.model_validate({"image": KEPT, "strength": strength, "exact_steps": exact})
    try:
        resolve_init(wanted, steps)
    except InvalidRequestError as error:
        named = re.search(r"(?:runs one is|give a strength of) ([\d.]*\d)", error.message)
        assert named
        assert strength < float(named[1]) <= 1
        assert resolve_init(wanted.model_copy(update={"strength": float(named[1])}), steps)


def test_a_strength_that_runs_no_step_is_refused(catalog: Catalog) -> None:
    with pytest.raises(
        InvalidRequestError, match=r"runs none of 2 steps; the smallest that runs one is 0\.5"
    ):
        asked(catalog, steps=2, init={"strength": 0.4})


def test_guidance_of_steps_that_are_skipped_is_refused(catalog: Catalog) -> None:
    early = {"end": 0.3}
    assert asked(catalog, steps=10, guidance=early, init={"strength": 1}).guidance
    with pytest.raises(InvalidRequestError, match=r"skips the first 5 of 10") as refused:
        asked(catalog, steps=10, guidance=early, init={"strength": 0.5})
    assert refused.value.field == "guidance.end"


def test_less_strength_costs_less(catalog: Catalog) -> None:
    costs = [cost_of(asked(catalog, steps=100, init={"strength": strength})) for strength in (0.2, 0.5, 1)]
    assert costs == sorted(costs)
    assert costs[0] < 0.25 * costs[2]


def test_a_job_that_costs_too_much_from_a_picture_names_its_steps(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match="would cost") as refused:
        asked(catalog, Limits(cost=100), steps=250)
    assert refused.value.field == "steps"


def test_a_stored_request_is_read_as_it_was(catalog: Catalog) -> None:
    for strength in (0.3, 0.8, 1):
        request = asked(catalog, init={"strength": strength})
        assert read_request(dump_request(request)) == request
    plain = resolve(GenerateRequest(prompt="x"), catalog)
    assert "init" not in json.loads(dump_request(plain))


@pytest.mark.parametrize(
    ("picture", "given", "size"),
    [
        ((640, 480), {}, (64, 48)),  # of some 4096 pixels, in multiples of 16 from 48 to 128
        ((480, 640), {}, (48, 64)),
        ((640, 400), {}, (80, 48)),
        ((500, 500), {}, (64, 64)),
        ((4000, 100), {}, (128, 48)),
        ((640, 320), {"height": 48}, (96, 48)),
        ((640, 320), {"width": 128}, (128, 64)),
        ((640, 320), {"width": 64, "height": 64}, (64, 64)),
    ],
)
def test_a_size_that_is_left_out_follows_the_picture(
    picture: tuple[int, int], given: dict[str, int], size: tuple[int, int], catalog: Catalog
) -> None:
    facts = {KEPT: PictureFacts(*picture, ((0, 255),) * 3)}
    wanted = GenerateRequest.model_validate({"prompt": "x", "init": {"image": KEPT}, **given})
    resolved = resolve(wanted, catalog, pictures=facts)
    assert (resolved.width, resolved.height) == size


@given(steps=st.integers(1, 250), exact=st.booleans())
def test_a_strength_that_nobody_gave_runs_a_step_at_least(steps: int, exact: bool) -> None:
    resolved = resolve_init(Init.model_validate({"image": KEPT, "exact_steps": exact}), steps)
    assert resolved is not None
    assert resolved.steps_run == (steps if exact else max(1, int(steps * 0.8)))
    assert resolved.steps_planned <= 250
    if (steps > 1 and not exact) or (steps <= 200 and exact):
        assert resolved.strength == 0.8


@pytest.mark.parametrize("strength", [5e-324, 1e-300, 0.0039])
def test_a_strength_with_which_no_run_has_a_step_is_refused(strength: float) -> None:
    for part in (Init, Hires):
        with pytest.raises(ValidationError, match=r"greater than or equal to 0\.004"):
            part.model_validate({"image": KEPT, "strength": strength, "exact_steps": True})
