"""Adapters and ControlNets of the unmodified ``webuiapi`` client."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
import webuiapi
from PIL import Image

from app.api.settings import ApiSettings
from jobs.pictures.maps.detection import map_of
from jobs.requests.conditions.adapters import ResolvedAdapter
from jobs.requests.conditions.maps import ResolvedMap
from tests.app.api.dialects.conftest import FirstJob
from tests.app.api.dialects.test_a1111 import client_of, failure
from tests.brought_pictures import encoded, scene

ASKED = {"prompt": "a red apple", "steps": 10, "width": 64, "height": 64}


@pytest.fixture
def settings(with_networks: ApiSettings) -> ApiSettings:
    return with_networks


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
    assert [lora["name"] for lora in client.get_loras()] == ["ink", "blob"]


def test_textual_inversions_are_listed_by_the_words_that_prompts_name(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob
) -> None:
    found = client.get_embeddings()
    assert list(found["loaded"]) == ["<my-cat>"]
    assert found["skipped"] == {}
    client.txt2img(**{**ASKED, "prompt": "a photo of <my-cat>"})
    assert first_job().generation.prompt == "a photo of <my-cat>"


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
    # Without scripts of its own, the client would send these units with all later calls of its process.
    client.txt2img(**ASKED, controlnet_units=controls, alwayson_scripts={})
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
        ({"module": "canny", "threshold_a": 90, "threshold_b": 50}, {"low": 50, "high": 90}),
        ({"module": "canny", "threshold_a": -1, "threshold_b": 64}, {"low": 64, "high": 100}),
        ({"module": "Lineart_Standard (from white bg & black line)"}, {"preprocess": "lineart"}),
        ({"module": "scribble_xdog", "threshold_a": 20}, {"preprocess": "xdog", "threshold": 20}),
        ({"module": "scribble_xdog"}, {"preprocess": "xdog", "threshold": 32}),
        ({"module": "scribble_thr", "threshold_a": 64}, {"preprocess": "scribble", "threshold": 127}),
        ({"module": "tile_resample"}, {"preprocess": "tile", "downsample": 1}),
        ({"module": "tile_resample", "threshold_a": 3}, {"preprocess": "tile", "downsample": 3}),
        ({"module": "shuffle", "processor_res": 256}, {"preprocess": "shuffle", "resolution": 256}),
        ({"module": "canny", "processor_res": 512, "pixel_perfect": True}, {"resolution": None}),
        ({"module": "canny", "processor_res": -1}, {"resolution": None}),
        ({"module": "canny", "processor_res": 4096}, {"resolution": 2048}),
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
    client.txt2img(**ASKED, controlnet_units=[unit], alwayson_scripts={})
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
        ({"image": "x", "ipadapter_input": ["gASV"]}, "pickle"),
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


def test_maps_come_after_the_pictures_unless_a_unit_keeps_its_own_back(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob
) -> None:
    image = b64encode(encoded(scene(32, 32))).decode()
    units = [
        {"model": "edges", "image": image},
        {"model": "edges", "image": image, "save_detected_map": False},
        {"model": "edges", "image": image, "module": "tile"},
    ]
    scripts = {"ControlNet": {"args": units}}
    result = client.txt2img(**ASKED, batch_size=2, alwayson_scripts=scripts)
    assert len(result.images) == 2 + 2
    assert len(result.info["all_seeds"]) == 2
    maps = first_job().maps
    assert len(maps) == 3
    # The played worker tints them by their numbers.
    assert [picture.getpixel((0, 0))[2] for picture in result.images[2:]] == [0, 2]
    assert len(client.txt2img(**ASKED).images) == 1


def test_fields_of_a_unit_that_have_no_effect_are_named(client: webuiapi.WebUIApi, working: None) -> None:
    unserved = {
        "hr_option": "Low res only",
        "advanced_weighting": [1.0] * 13,
        "union_control_type": "Unknown",
    }
    image = b64encode(encoded(scene(32, 32))).decode()
    notes = client.txt2img(**ASKED, **unit(image=image, **unserved)).info["notes"]
    assert notes == ["advanced_weighting, hr_option of ControlNet unit 0 have no effect here"]
    assert client.txt2img(**ASKED, **unit(image=image, hr_option="Both")).info["notes"] == []


@pytest.mark.parametrize(
    "module", ["none", "canny", "lineart_standard", "scribble", "shuffle", "tile", "invert"]
)
def test_the_client_gets_maps_without_a_job(client: webuiapi.WebUIApi, module: str) -> None:
    found = client.controlnet_detect([scene(96, 64), scene(64, 96)], module=module, processor_res=128)
    keeps = module in {"none", "tile"}
    assert found.info == "Success"
    assert [each.size for each in found.images] == (
        [(96, 64), (64, 96)] if keeps else [(192, 128), (128, 192)]
    )


def test_a_map_without_a_job_is_the_one_that_a_job_would_read(client: webuiapi.WebUIApi) -> None:
    fields = {"controlnet_module": "canny", "controlnet_threshold_a": 20, "controlnet_threshold_b": 40}
    image = b64encode(encoded(scene(64, 64))).decode()
    asked = {**fields, "controlnet_input_images": [image], "controlnet_processor_res": 64}
    (made,) = client.custom_post("controlnet/detect", payload=asked).images
    how = ResolvedMap.model_validate({"image": image, "preprocess": "canny", "low": 20, "high": 40})
    assert made.tobytes() == map_of(scene(64, 64), how, (64, 64), 0).tobytes()


@pytest.mark.parametrize(
    ("module", "images", "code", "reason"),
    [
        ("canny", [], 422, "there is no picture"),
        ("openpose", [b64encode(b"a").decode()], 501, "needs a network of its own"),
        ("canny", [b64encode(b"no picture").decode()], 422, "controlnet_images.0"),
    ],
)
def test_what_has_no_map_is_refused(
    client: webuiapi.WebUIApi, module: str, images: list[str], code: int, reason: str
) -> None:
    fields = {"controlnet_module": module, "controlnet_images": images}
    status, answer = failure(lambda: client.custom_post("controlnet/detect", payload=fields))
    assert status == code
    assert reason in str(answer)


def test_what_the_clients_interface_asks_first_is_answered(client: webuiapi.WebUIApi) -> None:
    assert client.controlnet_model_list() == ["edges", "look"]
    assert {"canny", "ip-adapter-auto"} <= set(client.controlnet_module_list())
    assert client.controlnet_version() == 3


def test_fields_that_nothing_reads_are_named_in_the_answer(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob
) -> None:
    assert client.txt2img(**ASKED).info["notes"] == []
    body = {
        **ASKED,
        "s_churn": 0.5,
        "soft_inpainting": {"on": True},
        "do_not_save_samples": True,
        "empty": [],
    }
    settings = {"eta_noise_seed_delta": 2, "sd_vae": "Automatic"}
    answer = client.post_and_get_api_result(
        f"{client.baseurl}/txt2img", {**body, "override_settings": settings}, False
    )
    named = ("s_churn", "soft_inpainting", "override_settings.eta_noise_seed_delta")
    assert answer.info["notes"] == [f"{name} has no effect on this server" for name in named]
    assert "soft_inpainting" not in answer.parameters
    ddim = client.txt2img(**ASKED, sampler_name="DDIM", eta=1.0)
    assert ddim.info["notes"] == ["eta has no effect on this server"]
