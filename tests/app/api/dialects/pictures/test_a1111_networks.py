"""Adapters and ControlNets of the unmodified ``webuiapi`` client."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import webuiapi
from PIL import Image

from app.api.settings import ApiSettings
from jobs.requests.conditions.adapters import ResolvedAdapter
from tests.app.api.dialects.conftest import FirstJob
from tests.app.api.dialects.test_a1111 import client_of, failure
from tests.brought_pictures import encoded, scene

ASKED = {"prompt": "a red apple", "steps": 10, "width": 64, "height": 64}


@pytest.fixture
def settings(settings: ApiSettings, tmp_path: Path) -> ApiSettings:
    """An API whose catalog has an adapter and a ControlNet; only a worker would read their files."""
    text, folder = settings.models_file.read_text(), settings.models_file.parent.absolute()
    added = f"""
[adapters.ink]
path = "{tmp_path / "ink drawing.safetensors"}"
triggers = ["ink"]

[controls.edges]
path = "{tmp_path / "edges"}"
preprocess = "canny"

[image_prompts.look]
path = "{tmp_path / "ip-adapter_sd15.safetensors"}"
clip = "pocket-s"
"""
    file = tmp_path / "models.toml"
    file.write_text(text.replace('"models/', f'"{folder}/models/') + added)
    return settings.model_copy(update={"models_file": file})


@pytest.fixture
def client(url: str) -> Iterator[webuiapi.WebUIApi]:
    with client_of(url) as client:
        yield client


def unit(**fields: Any) -> dict[str, Any]:
    return {"alwayson_scripts": {"ControlNet": {"args": [{"model": "edges [a1b2c3d4]", **fields}]}}}


def test_a_prompt_names_adapters_by_id_or_file(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob
) -> None:
    info = client.txt2img(**{**ASKED, "prompt": "a fox <lora:ink drawing:0.5:1.5> <lora:pencil:1>"}).info
    request = first_job().generation
    assert request.prompt == "a fox"
    assert request.adapters == (ResolvedAdapter(name="ink", weight=1.5, text_weight=0.5),)
    assert info["notes"] == ["there is no adapter 'pencil', so it is left out"]
    assert [lora["name"] for lora in client.get_loras()] == ["ink"]


@pytest.mark.parametrize("prompt", ["<lora:ink:much>", "<lora:ink:5>"])
def test_a_weight_that_cannot_be_is_refused(client: webuiapi.WebUIApi, prompt: str) -> None:
    status, answer = failure(lambda: client.txt2img(**{**ASKED, "prompt": prompt}))
    assert status == 422
    assert "ink" in answer["errors"]


def test_the_clients_own_units_are_served(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob
) -> None:
    controls = [
        webuiapi.ControlNetUnit(
            image=scene(48, 32), model="edges", module="canny", weight=0.7, guidance_end=0.45
        ),
        webuiapi.ControlNetUnit(enabled=False, model="edges"),
    ]
    client.txt2img(**ASKED, controlnet_units=controls)
    (control,) = first_job().generation.controls
    assert (control.model, control.weight, control.mode, control.preprocess) == (
        "edges",
        0.7,
        "balanced",
        "canny",
    )
    # Of ten steps, 0 to 4 begin before it.
    assert [control.is_active(step, 10) for step in range(10)] == [True] * 5 + [False] * 5


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"control_mode": "ControlNet is more important"}, {"mode": "control"}),
        ({"control_mode": 1}, {"mode": "prompt"}),
        ({"resize_mode": "Just Resize"}, {"fit": "stretch"}),
        ({"resize_mode": 2}, {"fit": "pad"}),
        ({"module": "canny", "threshold_a": 50, "threshold_b": 90}, {"low": 50, "high": 90}),
        ({"module": "none", "guidance": 1}, {"preprocess": "none", "end": 1}),
    ],
)
def test_the_fields_of_a_unit_mean_what_they_mean_natively(
    client: webuiapi.WebUIApi,
    working: None,
    first_job: FirstJob,
    fields: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    client.post_and_get_api_result(
        f"{client.baseurl}/txt2img",
        {**ASKED, **unit(image=b64encode(encoded(scene(32, 32))).decode(), **fields)},
        False,
    )
    (control,) = first_job().generation.controls
    assert control.model_dump(include=set(expected)) == expected


def test_a_unit_of_img2img_without_a_picture_reads_the_one_that_is_given(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob
) -> None:
    image: Image.Image = scene(64, 64)
    client.img2img(images=[image], **ASKED, **unit(enabled=True))
    request = first_job().generation
    assert request.init is not None
    assert request.controls[0].image == request.init.image


@pytest.mark.parametrize("name", ["look", "ip-adapter_sd15 [6a3f6166]", "None"])
def test_a_unit_of_an_ip_adapter_is_an_image_prompt(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob, name: str
) -> None:
    unit = webuiapi.ControlNetUnit(
        image=scene(48, 32), model=name, module="ip-adapter_clip_sd15", weight=0.7, guidance_end=0.45
    )
    client.txt2img(**ASKED, controlnet_units=[unit])
    request = first_job().generation
    assert request.controls == ()
    (prompt,) = request.image_prompts
    assert (prompt.adapter, prompt.weight, prompt.start, prompt.end) == ("look", 0.7, 0, 0.5)
    assert prompt.image.digest is not None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"module": "ip-adapter_face_id", "image": "x"}, "needs a network that recognises faces"),
        ({"module": "ip-adapter-auto", "enabled": True}, "has no picture"),
        ({"module": "depth_midas", "image": "x"}, "needs a network of its own"),
        ({"enabled": True}, "has no picture"),
        ({"image": "x", "weight": 3}, "less than or equal to 2"),
        ({"image": "x", "control_mode": 7}, "is none of"),
    ],
)
def test_a_unit_that_cannot_be_served_is_refused_by_its_field(
    client: webuiapi.WebUIApi, fields: dict[str, Any], reason: str
) -> None:
    _, answer = failure(lambda: client.txt2img(**ASKED, **unit(**fields)))
    assert reason in answer["errors"]
    assert "alwayson_scripts.controlnet.args.0" in answer["errors"]


@pytest.mark.parametrize("units", [[[1, 2]], ["canny"], [True]])
def test_a_unit_that_is_no_object_is_refused_in_words(client: webuiapi.WebUIApi, units: list[Any]) -> None:
    scripts = {"controlnet": {"args": units}}
    status, answer = failure(lambda: client.txt2img(**ASKED, alwayson_scripts=scripts))
    assert status == 422
    assert answer["errors"] == "alwayson_scripts.controlnet.args.0: a unit is an object of its fields"


def test_what_the_clients_interface_asks_first_is_answered(client: webuiapi.WebUIApi) -> None:
    assert client.controlnet_model_list() == ["edges", "look"]
    assert {"canny", "ip-adapter-auto"} <= set(client.controlnet_module_list())
    assert client.controlnet_version() == 3
