"""What clients of OpenAI's images API send besides the plain call, each as its client sends it."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from PIL import Image
from starlette.testclient import TestClient

from jobs.queue.queue import JobQueue
from tests.app.api.dialects.conftest import FirstJob

PROMPT = "a red apple"


@pytest.fixture
def strict(url: str) -> Iterator[openai.OpenAI]:
    """The client that refuses an answer outside OpenAI's own types."""
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key="none", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def notes_of(answer: Any) -> list[str]:
    return list((answer.model_extra or {}).get("notes", ()))


@pytest.mark.parametrize(
    ("quality", "resolved"),
    [(None, "medium"), ("auto", "medium"), ("hd", "high"), ("max", "max"), ("low", "low")],
)
def test_the_answer_has_a_quality_of_openais_own(
    strict: openai.OpenAI, working: None, quality: Any, resolved: str
) -> None:
    answer = strict.images.generate(prompt=PROMPT, quality=quality)
    assert (answer.quality, answer.background, notes_of(answer)) == (resolved, "opaque", [])


def test_fields_of_openais_own_models_are_taken_and_told_to_have_no_effect(
    strict: openai.OpenAI, working: None, first_job: FirstJob
) -> None:
    answer = strict.images.generate(
        prompt=PROMPT,
        style="vivid",  # langchain's DallEAPIWrapper always sends it
        background="transparent",
        partial_images=1,
        output_compression=100,
        extra_body={"complexity": "low", "frame_count": 2},
    )
    assert answer.background == "opaque"
    notes = notes_of(answer)
    for name in ("style", "background", "partial_images", "complexity", "frame_count"):
        assert any(note.startswith(name) for note in notes), name
    assert list(first_job().notes) == notes


def test_a_stream_tells_the_same_in_its_last_event(strict: openai.OpenAI, working: None) -> None:
    *_, last = strict.images.generate(prompt=PROMPT, stream=True, style="natural", response_format="url")
    assert last.type == "image_generation.completed"
    assert [note.split(" ")[0] for note in notes_of(last)] == ["style", "response_format"]
    assert (last.quality, last.background) == ("medium", "opaque")


def test_an_address_carries_the_compression(strict: openai.OpenAI, working: None) -> None:
    def picture(compression: int) -> str:
        answer = strict.images.generate(
            prompt=PROMPT,
            response_format="url",
            output_format="webp",
            output_compression=compression,
            extra_body={"seed": 7},
        )
        assert answer.data is not None
        return answer.data[0].url or ""

    small, large = (len(strict._client.get(picture(compression)).content) for compression in (10, 100))
    assert small < large


def test_base64_is_another_name_of_b64_json(client: TestClient, working: None) -> None:
    answer = client.post(
        "/v1/images/generations", json={"prompt": PROMPT, "response_format": "base64"}
    ).json()
    (picture,) = answer["data"]
    assert "url" not in picture
    assert Image.open(io.BytesIO(base64.b64decode(picture["b64_json"]))).size == (64, 64)


@pytest.mark.parametrize(
    ("fields", "native"),
    [
        # together's client
        ({"steps": 9, "guidance_scale": 3.5, "disable_safety_checker": True}, {"steps": 9, "cfg_scale": 3.5}),
        ({"steps": 1, "guidance_scale": 0}, {"steps": 1, "cfg_scale": 1.0}),
        ({"guidance_scale": 0.5}, {"cfg_scale": 1.0}),
        # vLLM-Omni's own tests
        (
            {"num_inference_steps": 9, "guidance_scale": 1.0, "true_cfg_scale": 4.5, "vae_use_tiling": True},
            {"steps": 9, "cfg_scale": 4.5},
        ),
        (
            {"num_outputs": 3, "scheduler": "KarrasDPM"},
            {"num_images": 3, "sampler": "dpmpp_2m", "schedule": "karras"},
        ),
    ],
)
def test_names_that_image_servers_share_are_known(
    client: TestClient, working: None, queue: JobQueue, fields: dict[str, Any], native: dict[str, Any]
) -> None:
    answer = client.post("/v1/images/generations", json={"prompt": PROMPT, **fields})
    assert answer.status_code == 200, answer.text
    request = queue.get(answer.json()["job"]).generation
    assert {name: getattr(request, name) for name in native} == native


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"num_inference_steps": 1000}, "num_inference_steps"),
        ({"num_inference_steps": 9, "steps": 9}, "num_inference_steps"),
        ({"guidance_scale": -1}, "guidance_scale"),
        ({"num_outputs": 99}, "num_outputs"),
        ({"num_outputs": 2, "n": 2}, "n"),
        ({"scheduler": "K_DPM_3"}, "scheduler"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": 50}, "output_compression"),
    ],
)
def test_an_error_names_the_field_as_the_caller_did(
    client: TestClient, fields: dict[str, Any], param: str
) -> None:
    answer = client.post("/v1/images/generations", json={"prompt": PROMPT, **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_an_empty_model_is_the_default_one(client: TestClient, working: None, queue: JobQueue) -> None:
    answer = client.post("/v1/images/generations", json={"prompt": PROMPT, "model": ""})
    assert queue.get(answer.json()["job"]).generation.model == "pocket"
