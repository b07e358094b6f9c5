"""The hires fix of the unmodified ``webuiapi`` client: the native second pass that its fields come to."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import webuiapi

from jobs.requests.enlarging import LATENT_MODES, HiresUpscaler, ResolvedHires
from jobs.requests.request import ResolvedRequest
from tests.app.api.dialects.conftest import FirstJob
from tests.app.api.dialects.test_a1111 import client_of, failure
from tests.brought_pictures import encoded, scene

ASKED = {"prompt": "a red apple", "width": 64, "height": 48, "steps": 7, "enable_hr": True}


@pytest.fixture
def client(url: str) -> Iterator[webuiapi.WebUIApi]:
    with client_of(url) as client:
        yield client


@pytest.fixture
def requested(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob
) -> Callable[..., ResolvedHires | None]:
    """Make a picture; the second pass that its call came to."""

    def generate(**fields: Any) -> ResolvedHires | None:
        client.txt2img(**{**ASKED, **fields})
        return first_job().generation.hires

    return generate


def test_the_fields_mean_what_they_mean_natively(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob
) -> None:
    info = client.txt2img(
        **ASKED,
        hr_scale=1.5,
        hr_upscaler="Latent (nearest-exact)",
        hr_second_pass_steps=5,
        denoising_strength=0.6,
    ).info
    request: ResolvedRequest = first_job().generation
    assert request.hires == ResolvedHires(
        scale=1.5, upscaler=HiresUpscaler.LATENT_NEAREST_EXACT, strength=0.6, steps=5, width=96, height=80
    )
    assert (info["denoising_strength"], info["width"], info["height"]) == (0.6, 64, 48)
    assert info["extra_generation_params"] == {
        "Schedule type": "Automatic",
        "Hires upscale": "1.5",
        "Hires steps": 5,
        "Hires upscaler": "Latent (nearest-exact)",
    }


@pytest.mark.parametrize(
    ("fields", "native"),
    [
        ({}, {"scale": 2, "upscaler": "latent", "steps": 7, "width": 128, "height": 96}),
        ({"hr_resize_x": 112, "hr_resize_y": 96}, {"scale": None, "width": 112, "height": 96}),
        ({"hr_resize_x": 127}, {"scale": None, "width": 112, "height": 80}),
        ({"hr_resize_y": 96}, {"scale": None, "width": 128, "height": 96}),
        ({"hr_upscaler": "None"}, {"upscaler": "lanczos"}),
        ({"denoising_strength": 0}, {"strength": 1 / 250, "steps": 1}),
        ({"hr_sampler_name": "Use same sampler", "hr_scheduler": "Use same scheduler"}, {"scale": 2}),
        ({"hr_sampler_name": "euler", "sampler_name": "Euler"}, {"scale": 2}),
        ({"hr_prompt": "a red apple", "hr_checkpoint_name": "Use same checkpoint"}, {"scale": 2}),
        ({"enable_hr": False, "hr_scale": 99, "denoising_strength": 99}, None),
    ],
)
def test_a_field_has_a1111s_default_and_meaning(
    requested: Callable[..., ResolvedHires | None], fields: dict[str, Any], native: dict[str, Any] | None
) -> None:
    hires = requested(**fields)
    assert native == (hires and native and {name: getattr(hires, name) for name in native})


def test_every_listed_upscaler_is_taken(
    client: webuiapi.WebUIApi, requested: Callable[..., ResolvedHires | None]
) -> None:
    modes = [mode["name"] for mode in client.get_latent_upscale_modes()]
    assert len(modes) == len(LATENT_MODES)
    names = [*modes, *(upscaler["name"] for upscaler in client.get_upscalers())]
    taken = [requested(hr_upscaler=name) for name in names]
    assert {hires.upscaler for hires in taken if hires} == set(HiresUpscaler)
    listed = {network["name"] for network in client.get_realesrgan_models()}
    assert listed == {"R-ESRGAN 4x+", "R-ESRGAN 4x+ Anime6B"}


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"hr_scale": 3}, 422, "hr_scale"),
        ({"hr_scale": 1}, 422, "hr_scale"),
        ({"hr_resize_x": 48}, 422, "hr_resize_x"),
        ({"hr_resize_y": 4097}, 422, "hr_resize_y"),
        ({"hr_upscaler": "ESRGAN_4x"}, 422, "hr_upscaler"),
        ({"hr_second_pass_steps": -1}, 422, "hr_second_pass_steps"),
        ({"denoising_strength": 2}, 422, "denoising_strength"),
        ({"denoising_strength": 0.01}, 422, "denoising_strength"),
        ({"hr_prompt": "a green pear"}, 501, "hr_prompt"),
        ({"hr_negative_prompt": "blue"}, 501, "hr_negative_prompt"),
        ({"hr_sampler_name": "Heun"}, 501, "hr_sampler_name"),
        ({"hr_sampler_name": "none such"}, 422, "hr_sampler_name"),
        ({"hr_scheduler": "Karras"}, 501, "hr_scheduler"),
        ({"hr_checkpoint_name": "big"}, 501, "hr_checkpoint_name"),
        ({"firstphase_width": 48}, 501, "firstphase_width"),
    ],
)
def test_what_cannot_be_served_names_its_field(
    client: webuiapi.WebUIApi, fields: dict[str, Any], status: int, field: str
) -> None:
    code, answer = failure(lambda: client.txt2img(**{**ASKED, **fields}))
    assert (code, answer["errors"].partition(":")[0]) == (status, field)


def test_a_call_with_a_picture_has_no_second_pass_and_says_so(
    url: str, working: None, first_job: FirstJob
) -> None:
    picture = base64.b64encode(encoded(scene(64, 64))).decode()
    body = {"init_images": [picture], "prompt": "a pear", "enable_hr": True}
    assert httpx.post(f"{url}/sdapi/v1/img2img", json=body, timeout=60).status_code == 200
    job = first_job()
    assert (job.generation.hires, job.notes) == (None, ("enable_hr has no effect in img2img",))
