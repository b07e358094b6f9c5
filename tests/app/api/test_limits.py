"""An operator's limits hold on every route and in every dialect."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from tests.app.conftest import LocalClient
from tests.app.samples import png

LARGE = {"steps": 200, "width": 128, "height": 128}


@pytest.fixture
def limited(settings: ApiSettings) -> Iterator[TestClient]:
    """A client of an API that takes jobs of 500 units and of a minute."""
    limits = {"max_cost": 500, "max_timeout_s": 60}
    with LocalClient(create_app(settings.model_copy(update=limits))) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs", LARGE),
        ("/v1/images", LARGE),
        ("/v1/images/generations", {**LARGE, "response_format": "b64_json"}),
        ("/v1/predictions", {"version": "pocket", "input": {**LARGE, "prompt": "a red apple"}}),
        ("/sdapi/v1/txt2img", LARGE),
    ],
)
def test_a_job_that_costs_too_much_is_refused_on_every_route(
    path: str, body: dict[str, Any], limited: TestClient
) -> None:
    answer = limited.post(path, json={"prompt": "a red apple", **body} if "input" not in body else body)
    assert answer.status_code == (400 if path.endswith("generations") else 422), answer.text
    assert "units of work, and this server takes 500 at most" in answer.text
    assert limited.get("/v1/queue").json()["jobs"]["queued"] == 0


def test_the_refusal_names_the_field(limited: TestClient) -> None:
    problem = limited.post("/v1/jobs", json={"prompt": "a red apple", **LARGE}).json()
    assert (problem["type"], problem["errors"][0]["field"]) == ("/errors/invalid_request", "steps")
    problem = limited.post("/v1/jobs", json={"prompt": "a red apple", "timeout_s": 61}).json()
    assert (problem["type"], problem["errors"][0]["field"]) == ("/errors/invalid_request", "timeout_s")


def test_a_caller_who_asks_for_no_timeout_gets_the_longest(limited: TestClient, client: TestClient) -> None:
    assert limited.post("/v1/jobs", json={"prompt": "a red apple"}).json()["request"]["timeout_s"] == 60
    assert client.post("/v1/jobs", json={"prompt": "a red apple"}).json()["request"]["timeout_s"] == 3600
    found = limited.post(
        "/v1/scores", data={"prompt": "a fox"}, files={"pictures": ("a.png", png(), "image/png")}
    )
    assert found.status_code == 202, found.text
    assert found.json()["request"]["timeout_s"] == 60
