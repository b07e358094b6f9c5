"""Pictures that clients of other services tell a model of, beside the prompt."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from replicate.client import Client
from replicate.exceptions import ReplicateError

from app.api.settings import ApiSettings
from jobs.queue.queue import JobQueue
from jobs.requests.request import ResolvedRequest
from tests.app.api.dialects.conftest import FirstJob
from tests.app.api.dialects.test_replicate import MODEL, client_of
from tests.brought_pictures import encoded, scene

Start = Callable[..., ResolvedRequest]


@pytest.fixture
def settings(settings: ApiSettings, tmp_path: Path) -> ApiSettings:
    """An API whose catalog has an adapter for image prompts; only a worker would read its file."""
    text, folder = settings.models_file.read_text(), settings.models_file.parent.absolute()
    added = (
        f'\n[image_prompts.look]\npath = "{tmp_path / "ip.safetensors"}"\nclip = "pocket-s"\nweight = 0.6\n'
    )
    file = tmp_path / "models.toml"
    file.write_text(text.replace('"models/', f'"{folder}/models/') + added)
    return settings.model_copy(update={"models_file": file})


@pytest.fixture
def own(url: str) -> Iterator[Client]:
    """Replicate's client."""
    with client_of(url) as client:
        yield client


@pytest.fixture
def started(own: Client, queue: JobQueue) -> Start:
    """The native request of a prediction."""

    def start(**input: Any) -> ResolvedRequest:
        return queue.get(own.predictions.create(model=MODEL, input={"prompt": "", **input}).id).generation

    return start


def picture() -> io.BytesIO:
    return io.BytesIO(encoded(scene(64, 48)))


@pytest.mark.parametrize(
    ("name", "weight"), [("image_prompt", "image_prompt_strength"), ("ip_adapter_image", "ip_adapter_scale")]
)
def test_a_customary_picture_is_an_image_prompt(started: Start, name: str, weight: str) -> None:
    (plain,) = started(**{name: picture()}).image_prompts
    assert (plain.adapter, plain.weight, plain.image.digest is None) == ("look", 0.6, False)
    (weighed,) = started(**{name: picture(), weight: 0.3}).image_prompts
    assert (weighed.image, weighed.weight) == (plain.image, 0.3)


def test_the_native_field_takes_pictures_too(started: Start) -> None:
    (known,) = started(image_prompt=picture()).image_prompts
    both = started(image_prompts=[{"image": known.image}, {"image": known.image, "end": 0.5}]).image_prompts
    assert [(each.image, each.end) for each in both] == [(known.image, 1.0), (known.image, 0.5)]


def test_a_weight_without_a_picture_has_no_effect(own: Client) -> None:
    prediction = own.predictions.create(model=MODEL, input={"prompt": "a pear", "ip_adapter_scale": 0.5})
    assert prediction.logs is not None
    assert "ip_adapter_scale has no effect" in prediction.logs


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"image_prompt_strength": 3.0}, "input.image_prompt_strength"),
        ({"image_prompts": [{"image": "01ab/0"}]}, "image_prompt and image_prompts are the same"),
    ],
)
def test_a_field_that_cannot_be_served_is_named(started: Start, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ReplicateError, match=reason):
        started(image_prompt=picture(), **fields)


def test_openai_s_routes_take_them_beside_their_own_fields(
    url: str, working: None, first_job: FirstJob
) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        data = base64.b64encode(picture().getvalue()).decode()
        client.images.generate(prompt="a pear", extra_body={"image_prompt": f"data:image/png;base64,{data}"})
    (prompt,) = first_job().generation.image_prompts
    assert (prompt.adapter, prompt.weight) == ("look", 0.6)
