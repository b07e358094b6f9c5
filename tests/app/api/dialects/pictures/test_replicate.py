"""Pictures that the unmodified ``replicate`` client sends."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from replicate.client import Client
from starlette.testclient import TestClient

from jobs.queue.queue import JobQueue
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.mask import Area
from tests.app.api.dialects.test_replicate import MODEL, client_of
from tests.brought_pictures import encoded, scene

PREDICTIONS = "/v1/models/lodestar/pocket/predictions"


@pytest.fixture
def own(url: str) -> Iterator[Client]:
    """Replicate's client."""
    with client_of(url) as client:
        yield client


def picture(width: int = 64, height: int = 64) -> io.BytesIO:
    return io.BytesIO(encoded(scene(width, height)))


def hole() -> io.BytesIO:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 16, 32, 32))
    return io.BytesIO(encoded(mask))


@pytest.fixture
def started(own: Client, queue: JobQueue) -> Any:
    """The native request of a prediction with a picture."""

    def start(**input: Any) -> ResolvedRequest:
        return queue.get(
            own.predictions.create(model=MODEL, input={"prompt": "a pear", **input}).id
        ).generation

    return start


@pytest.mark.parametrize("name", ["image", "init_image", "image_url"])
def test_a_picture_is_started_from(started: Any, name: str) -> None:
    request = started(**{name: picture(90, 60)})
    assert (request.init.strength, request.init.steps_run) == (0.8, 20)
    assert (request.width, request.height) == (80, 48)
    assert started(**{name: picture()}, aspect_ratio="match_input_image").height == 64


@pytest.mark.parametrize("name", ["prompt_strength", "strength"])
def test_its_strength_is_that_of_the_prompt(started: Any, name: str) -> None:
    assert started(image=picture(), **{name: 0.4}).init.strength == 0.4


def test_a_mask_is_a_picture_or_a_native_mask(started: Any) -> None:
    plain = started(image=picture(), mask=hole())
    assert (plain.mask.area, plain.mask.invert) == (Area.WHOLE, False)
    native = started(image=picture(), mask={"image": plain.mask.image, "invert": True})
    assert (native.mask.image, native.mask.invert) == (plain.mask.image, True)


def test_the_native_field_may_have_the_rest(started: Any) -> None:
    init = started(
        init={"image": started(image=picture()).init.image, "fit": "pad"}, prompt_strength=0.3
    ).init
    assert (init.fit, init.strength) == ("pad", 0.3)


def test_the_input_of_a_prediction_with_a_picture_can_be_sent_again(own: Client) -> None:
    first = own.predictions.create(
        model=MODEL, input={"prompt": "a pear", "image": picture(), "mask": hole(), "seed": 7}
    )
    again = own.predictions.create(model=MODEL, input=first.input)
    assert again.input == first.input


@pytest.mark.parametrize(
    ("input", "field"),
    [
        ({"image": picture, "prompt_strength": 1.2}, "input.prompt_strength"),
        ({"image": picture, "prompt_strength": 0.01}, "input.prompt_strength"),
        ({"image": "!"}, "input.image"),
        ({"image": "aGVsbG8="}, "input.image"),
        ({"mask": hole}, "input.mask"),
        ({"image": picture, "mask": "aGVsbG8="}, "input.mask.image"),
        ({"image": picture, "init": {"image": "sha256:" + "0" * 64}}, "input.image"),
    ],
)
def test_what_cannot_be_served_names_its_field(client: TestClient, input: dict[str, Any], field: str) -> None:
    sent = {
        name: base64.b64encode(value().getvalue()).decode() if callable(value) else value
        for name, value in input.items()
    }
    answer = client.post(PREDICTIONS, json={"input": {"prompt": "a pear", **sent}})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["invalid_fields"]] == [field]


def test_a_strength_without_a_picture_has_no_effect_and_is_noted(client: TestClient) -> None:
    body = {"input": {"prompt": "a pear", "prompt_strength": 0.8}}
    prediction = client.post(PREDICTIONS, json=body).json()
    assert "prompt_strength has no effect" in prediction["logs"]
    assert "init" not in prediction["input"]


def test_the_schema_of_the_input_says_which_fields_are_pictures(client: TestClient) -> None:
    version = client.get("/v1/models/lodestar/pocket/versions/pocket").json()
    properties = version["openapi_schema"]["components"]["schemas"]["Input"]["properties"]
    assert "picture" in str(properties["image"])
    assert "description" in properties["mask"]
