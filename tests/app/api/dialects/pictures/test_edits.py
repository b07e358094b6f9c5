"""A model that edits, as clients of other services call it: their picture is the one to edit."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from replicate.client import Client
from replicate.exceptions import ReplicateError

from app.api.settings import ApiSettings
from jobs.queue.queue import JobQueue
from jobs.requests.request import ResolvedRequest
from tests.app.api.dialects.conftest import FirstJob
from tests.app.api.dialects.test_a1111 import client_of as a1111_client
from tests.app.api.dialects.test_replicate import MODEL
from tests.app.api.dialects.test_replicate import client_of as replicate_client
from tests.app.editor import with_editor
from tests.brought_pictures import encoded, scene

Start = Callable[..., ResolvedRequest]
ASKED = "make the background blue"


@pytest.fixture
def settings(settings: ApiSettings, tmp_path: Path) -> ApiSettings:
    return with_editor(settings, tmp_path)


def picture(width: int = 64, height: int = 64) -> io.BytesIO:
    return io.BytesIO(encoded(scene(width, height)))


@pytest.fixture
def predictions(url: str) -> Iterator[Client]:
    with replicate_client(url) as client:
        yield client


@pytest.fixture
def started(predictions: Client, queue: JobQueue) -> Start:
    """The native request of a prediction with a picture."""

    def start(model: str = "lodestar/editor", **input: Any) -> ResolvedRequest:
        asked = {"prompt": ASKED, "image": picture(), **input}
        return queue.get(predictions.predictions.create(model=model, input=asked).id).generation

    return start


def scales(request: ResolvedRequest) -> tuple[float, float | None]:
    return request.cfg_scale, None if request.edit is None else request.edit.image_cfg_scale


def test_the_picture_of_a_prediction_is_edited_from_noise(started: Start) -> None:
    request = started(image=picture(90, 60), image_guidance_scale=1.2, guidance_scale=7.5)
    assert request.edit is not None
    assert (request.init, request.mask, request.rows) == (None, None, 3)
    assert scales(request) == (7.5, 1.2)
    assert (request.width, request.height) == (80, 48)
    assert scales(started()) == (4, 1.7)


@pytest.mark.parametrize("name", ["init_image", "image_url"])
def test_the_picture_has_other_names(started: Start, name: str) -> None:
    assert started(**{"image": None, name: picture()}).edit is not None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # Diffusers then guides by neither.
        ({"image_guidance_scale": 0.5}, (1, 1)),
        ({"image_guidance_scale": 0}, (1, 1)),
        ({"image_guidance_scale": 1}, (4, 1)),
        ({"guidance_scale": 1, "image_guidance_scale": 2}, (1, 1)),
        ({"guidance_scale": 0}, (1, 1)),
        # The native field is as the formula has it.
        ({"cfg_scale": 1, "image_guidance_scale": 2}, (1, 2)),
    ],
)
def test_a_scale_of_less_than_one_turns_guidance_off(
    given: dict[str, float], expected: tuple[float, float], started: Start
) -> None:
    assert scales(started(**given)) == expected


def test_a_strength_or_a_mask_also_starts_from_the_picture(started: Start) -> None:
    weaker = started(prompt_strength=0.5)
    assert weaker.init is not None
    assert weaker.edit is not None
    assert (weaker.init.image, weaker.init.strength) == (weaker.edit.image, 0.5)
    hole = io.BytesIO(encoded(scene(64, 64).convert("L").point([255 * (v > 99) for v in range(256)])))
    masked = started(mask=hole)
    assert masked.init is not None
    assert masked.mask is not None
    assert masked.init.strength == 1


def test_the_native_field_is_taken_too(started: Start) -> None:
    kept = started().edit
    assert kept is not None
    request = started(image=None, edit={"image": kept.image, "fit": "pad"}, image_guidance_scale=3)
    assert request.edit is not None
    assert (request.edit.image, request.edit.fit, request.edit.image_cfg_scale) == (kept.image, "pad", 3)
    edit = {"image": kept.image, "image_cfg_scale": 2}
    with pytest.raises(ReplicateError, match="the same: give one of them"):
        started(image=None, edit=edit, image_guidance_scale=3)


@pytest.mark.parametrize(
    ("input", "said"),
    [
        ({"image": None}, "edits a picture as the prompt says"),
        ({"image_guidance_scale": 51}, "image_guidance_scale"),
        ({"image_guidance_scale": -1}, "image_guidance_scale"),
        ({"outpaint": {"left": 16}}, "outpaint"),
    ],
)
def test_what_cannot_be_edited_is_refused_by_the_caller_s_own_names(
    input: dict[str, Any], said: str, started: Start
) -> None:
    with pytest.raises(ReplicateError, match=said):
        started(**input)


def test_another_model_starts_from_its_picture(predictions: Client, started: Start) -> None:
    request = started(MODEL)
    assert request.edit is None
    assert request.init is not None
    asked = {"prompt": ASKED, "image": picture(), "image_guidance_scale": 2}
    logs = predictions.predictions.create(model=MODEL, input=asked).logs
    assert logs is not None
    assert "image_guidance_scale has no effect on this server" in logs


@pytest.fixture
def sdk(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


def test_an_edit_without_a_mask_is_an_instruction(
    sdk: openai.OpenAI, working: None, first_job: FirstJob
) -> None:
    sdk.images.edit(model="editor", image=picture().getvalue(), prompt=ASKED, input_fidelity="high")
    job = first_job()
    request = job.generation
    assert request.edit is not None
    assert (request.init, request.mask, scales(request)) == (None, None, (4, 1.7))
    assert job.notes == ("input_fidelity has no effect on a model that edits; edit.image_cfg_scale has",)


def test_an_edit_with_a_mask_is_an_instruction_for_a_part(
    sdk: openai.OpenAI, working: None, first_job: FirstJob
) -> None:
    erased = scene(64, 64).convert("RGBA")
    erased.paste((0, 0, 0, 0), (16, 16, 32, 40))
    sdk.images.edit(model="editor", image=picture().getvalue(), mask=encoded(erased), prompt=ASKED)
    request = first_job().generation
    assert request.init is not None
    assert request.mask is not None
    assert request.edit is not None
    assert (request.init.strength, request.init.image) == (1, request.edit.image)


def test_a_model_that_edits_generates_nothing(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.images.generate(model="editor", prompt="a fox")
    assert refused.value.param == "edit.image"


def test_a1111_starts_from_the_picture_that_it_edits(url: str, working: None, first_job: FirstJob) -> None:
    with a1111_client(url) as client:
        client.img2img(
            images=[scene(64, 64)],
            prompt=ASKED,
            width=64,
            height=64,
            steps=20,
            denoising_strength=1,
            image_cfg_scale=2,
            override_settings={"sd_model_checkpoint": "editor"},
        )
    request = first_job().generation
    assert request.init is not None
    assert request.edit is not None
    assert (request.init.strength, request.steps_run) == (1, 20)
    assert (request.edit.image, request.edit.fit) == (request.init.image, request.init.fit)
    assert request.edit.image_cfg_scale == 2


@pytest.mark.parametrize("route", ["txt2img", "img2img"])
def test_a1111_edits_nothing_without_a_picture(route: str, url: str) -> None:
    body = {"prompt": ASKED, "override_settings": {"sd_model_checkpoint": "editor"}}
    answer = httpx.post(f"{url}/sdapi/v1/{route}", json=body)
    assert answer.status_code == 422
    assert "init_images" in answer.text


def test_a1111_s_scale_of_another_model_has_no_effect(url: str, working: None, first_job: FirstJob) -> None:
    with a1111_client(url) as client:
        client.img2img(images=[scene(64, 64)], prompt=ASKED, width=64, height=64, image_cfg_scale=3)
    job = first_job()
    assert job.generation.edit is None
    assert job.notes == ("image_cfg_scale has no effect: the model edits no pictures",)


def test_a1111_names_the_scale_that_is_out_of_bounds(url: str) -> None:
    text = base64.b64encode(picture().getvalue()).decode()
    body = {
        "prompt": ASKED,
        "init_images": [text],
        "image_cfg_scale": 60,
        "override_settings": {"sd_model_checkpoint": "editor"},
    }
    answer = httpx.post(f"{url}/sdapi/v1/img2img", json=body)
    assert answer.status_code == 422
    assert "image_cfg_scale" in answer.text
