"""Pictures that the unmodified ``webuiapi`` client sends."""

import base64
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import webuiapi
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.api.dialects.a1111.extras.infotext import parameters_of
from app.api.dialects.a1111.image_to_image import strength_of
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.init import Fit
from jobs.requests.start.mask import Area, Fill, ResolvedMask
from jobs.requests.start.plan import plan_from_picture
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import input_key
from tests.app.api.dialects.conftest import FirstJob
from tests.app.api.dialects.test_a1111 import client_of, failure
from tests.brought_pictures import encoded, refused, scene
from tests.jobs.samples import RESOLVED
from worker.pictures.infotext import infotext

ASKED = {"prompt": "a red apple", "width": 64, "height": 64}
HOLE = Image.new("L", (64, 64))
HOLE.paste(255, (16, 16, 32, 32))


@pytest.fixture
def client(url: str) -> Iterator[webuiapi.WebUIApi]:
    with client_of(url) as client:
        yield client


@pytest.fixture
def requested(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob
) -> Callable[..., ResolvedRequest]:
    """Make a picture of a picture; the native request that its call came to."""

    def generate(**fields: Any) -> ResolvedRequest:
        client.img2img(**{"images": [scene(64, 64)], **ASKED, **fields})
        return first_job().generation

    return generate


def test_a_picture_is_started_from(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob, artifacts: ArtifactStore
) -> None:
    result = client.img2img(images=[scene(64, 64)], **ASKED, denoising_strength=0.5, steps=20, seed=7)
    job = first_job()
    init = job.generation.init
    assert init is not None
    kept = artifacts.get(input_key(job.id, init.image.digest or ""))
    assert Image.open(io.BytesIO(kept)).tobytes() == scene(64, 64).tobytes()
    assert (init.steps_planned, init.steps_run, init.fit) == (20, 11, Fit.STRETCH)
    assert result.info["denoising_strength"] == 0.5
    assert (result.parameters["init_images"], result.parameters["mask"]) == (None, None)
    assert [picture.size for picture in result.images] == [(64, 64)]


def test_the_pictures_that_were_sent_come_back_if_asked_for(url: str, working: None) -> None:
    picture = base64.b64encode(encoded(scene())).decode()
    body = {"init_images": [f"data:image/png;base64,{picture}"], "include_init_images": True, **ASKED}
    answer = httpx.post(f"{url}/sdapi/v1/img2img", json=body, timeout=60).json()
    assert answer["parameters"]["init_images"] == [picture]


@pytest.mark.parametrize("steps", [1, 3, 7, 20, 30, 50, 100, 150])
@pytest.mark.parametrize("strength", [0, 0.01, 0.29, 0.3, 0.5, 0.58, 0.75, 0.834, 0.95, 0.999, 1])
def test_as_many_steps_run_as_in_the_web_ui(strength: float, steps: int) -> None:
    plan = plan_from_picture(steps, strength_of(strength, steps), exact=False)
    assert plan.run == int(min(strength, 0.999) * steps) + 1


def test_a_mask_has_the_defaults_of_the_web_uis_api(requested: Callable[..., ResolvedRequest]) -> None:
    mask = requested(mask_image=HOLE).mask
    assert mask is not None
    assert mask == ResolvedMask(image=mask.image, blur=4, fill=Fill.BLUR, area=Area.MASKED, padding=0)


@pytest.mark.parametrize(
    ("fields", "native"),
    [
        ({"inpainting_fill": 1}, {"fill": Fill.ORIGINAL}),
        ({"inpainting_fill": 2}, {"fill": Fill.NOISE}),
        ({"inpainting_fill": 3}, {"fill": Fill.NOTHING}),
        ({"mask_blur": 9}, {"blur": 9}),
        ({"inpaint_full_res": False}, {"area": Area.WHOLE}),
        ({"inpaint_full_res_padding": 12}, {"padding": 12}),
        ({"inpainting_mask_invert": 1}, {"invert": True}),
    ],
)
def test_fields_of_a_mask_mean_what_they_mean_natively(
    requested: Callable[..., ResolvedRequest], fields: dict[str, Any], native: dict[str, Any]
) -> None:
    mask = requested(mask_image=HOLE, **fields).mask
    assert mask is not None
    assert {name: getattr(mask, name) for name in native} == native


@pytest.mark.parametrize(("mode", "fit"), [(0, Fit.STRETCH), (1, Fit.CROP), (2, Fit.PAD), (3, Fit.STRETCH)])
def test_a_way_of_resizing_is_a_fit(requested: Callable[..., ResolvedRequest], mode: int, fit: Fit) -> None:
    init = requested(resize_mode=mode).init
    assert init is not None
    assert init.fit is fit


def test_subseeds_are_variations_in_both_calls(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob
) -> None:
    for call in (client.txt2img, lambda **fields: client.img2img(images=[scene()], **fields)):
        info = call(**ASKED, seed=7, subseed=100, subseed_strength=0.25, n_iter=2).info
        variation = first_job().generation.variation
        assert variation is not None
        assert (variation.seed, variation.strength) == (100, 0.25)
        assert (info["all_subseeds"], info["subseed_strength"]) == ([100, 101], 0.25)
    client.txt2img(**ASKED, subseed=100)
    assert first_job().generation.variation is None


def test_guidance_works_with_a_picture(requested: Callable[..., ResolvedRequest]) -> None:
    script = {"CLIP guidance": {"args": [{"cutouts": 3}]}}
    guidance = requested(alwayson_scripts=script).guidance
    assert guidance is not None
    assert guidance.cutouts == 3


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"images": []}, 422, "init_images"),
        ({"images": [scene(), scene()]}, 422, "init_images"),
        ({"denoising_strength": 1.5}, 422, "denoising_strength"),
        ({"resize_mode": 4}, 422, "resize_mode"),
        ({"inpainting_fill": 4}, 422, "inpainting_fill"),
        ({"mask_image": HOLE, "mask_blur": 1000}, 422, "mask_blur"),
        ({"mask_image": HOLE, "inpaint_full_res_padding": -1}, 422, "inpaint_full_res_padding"),
        ({"mask_image": Image.new("L", (64, 64))}, 422, "mask"),
        ({"subseed": 1, "subseed_strength": 2}, 422, "subseed_strength"),
        ({"seed_resize_from_w": 32}, 501, "seed_resize_from_w"),
        ({"initial_noise_multiplier": 1.1}, 501, "initial_noise_multiplier"),
        ({"script_name": "sd upscale"}, 501, "script_name"),
    ],
)
def test_what_cannot_be_served_names_its_field(
    client: webuiapi.WebUIApi, fields: dict[str, Any], status: int, field: str
) -> None:
    code, answer = failure(lambda: client.img2img(**{"images": [scene(64, 64)], **ASKED, **fields}))
    assert code == status
    assert answer["errors"].startswith(f"{field}:")


def test_what_is_no_picture_is_refused(url: str) -> None:
    for data, words in (("!", "not base64"), (base64.b64encode(b"hello").decode(), "no PNG, JPEG or WebP")):
        answer = httpx.post(f"{url}/sdapi/v1/img2img", json={"init_images": [data], **ASKED})
        assert answer.status_code == 422
        assert "init_images" in answer.json()["errors"]
        assert words in answer.text


@pytest.mark.parametrize("name", ["Lanczos", "Nearest"])
def test_a_picture_is_resized(client: webuiapi.WebUIApi, name: str) -> None:
    assert name in [upscaler["name"] for upscaler in client.get_upscalers()]
    larger = client.extra_single_image(scene(), upscaler_1=name, upscaling_resize=2).image
    assert larger.size == (96, 96)
    assert larger.resize((48, 48), Image.Resampling.BOX).getpixel((20, 20)) == pytest.approx(
        scene().getpixel((20, 20)), abs=3
    )


@pytest.mark.parametrize(("crop", "size"), [(True, (80, 40)), (False, (40, 40))])
def test_a_picture_is_resized_to_a_size(client: webuiapi.WebUIApi, crop: bool, size: tuple[int, int]) -> None:
    wanted = {"resize_mode": 1, "upscaling_resize_w": 80, "upscaling_resize_h": 40, "upscaling_crop": crop}
    assert client.extra_single_image(scene(), upscaler_1="Lanczos", **wanted).image.size == size


def test_two_ways_of_resizing_are_blended(client: webuiapi.WebUIApi) -> None:
    def made(**fields: Any) -> Any:
        return client.extra_single_image(scene(), upscaler_1="Nearest", **fields).image.getpixel((51, 40))

    first, other = made(), client.extra_single_image(scene(), upscaler_1="Lanczos").image.getpixel((51, 40))
    both = made(upscaler_2="Lanczos", extras_upscaler_2_visibility=0.5)
    assert both == pytest.approx([(a + b) / 2 for a, b in zip(first, other, strict=True)], abs=1)


def test_no_upscaler_leaves_a_picture_alone_however_large_it_is(client: webuiapi.WebUIApi) -> None:
    large = Image.new("RGB", (3000, 3000), "red")
    assert client.extra_single_image(large, upscaling_resize=8).image.size == (3000, 3000)


def test_a_batch_is_resized(client: webuiapi.WebUIApi) -> None:
    result = client.extra_batch_images([scene(), scene(20, 30)], upscaler_1="Lanczos", upscaling_resize=3)
    assert [picture.size for picture in result.images] == [(144, 144), (60, 90)]


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"gfpgan_visibility": 0.5}, 501, "gfpgan_visibility"),
        ({"upscaler_1": "Lanczos", "upscaling_resize": 9}, 422, "upscaling_resize"),
        (
            {
                "upscaler_1": "Lanczos",
                "resize_mode": 1,
                "upscaling_resize_w": 9999,
                "upscaling_resize_h": 9999,
            },
            422,
            "upscaling_resize_w",
        ),
    ],
)
def test_what_extras_cannot_do_is_refused(
    client: webuiapi.WebUIApi, fields: dict[str, Any], status: int, field: str
) -> None:
    code, answer = failure(lambda: client.extra_single_image(scene(), **fields))
    assert code == status
    assert answer["errors"].startswith(f"{field}:")


def test_the_request_is_read_from_a_picture(url: str) -> None:
    asked = {"prompt": "a fox,\nred", "negative_prompt": "Steps: blue"}
    text = infotext(7, RESOLVED.model_copy(update=asked))
    picture = base64.b64encode(encoded(scene(), pnginfo=_with(text))).decode()
    answer = httpx.post(f"{url}/sdapi/v1/png-info", json={"image": picture}).json()
    assert answer["info"] == answer["items"]["parameters"] == text
    parameters = answer["parameters"]
    assert (parameters["Prompt"], parameters["Negative prompt"]) == ("a fox,\nred", "Steps: blue")
    assert (parameters["Seed"], parameters["Size-1"], parameters["Model"]) == ("7", "64", "pocket")


def test_a_picture_without_a_request_has_none(client: webuiapi.WebUIApi, url: str) -> None:
    assert client.png_info(scene()).info == ""
    picture = base64.b64encode(encoded(scene())).decode()
    assert httpx.post(f"{url}/sdapi/v1/png-info", json={"image": picture}).json()["parameters"] == {}


def test_a_text_of_the_web_ui_is_taken_apart() -> None:
    text = (
        'a, b\nNegative prompt: c\nd\nSteps: 20, Sampler: Euler a, Size: 512x768, Hashes: "{\\"x\\": 1, 2}"'
    )
    assert parameters_of(text) == {
        "Prompt": "a, b",
        "Negative prompt": "c\nd",
        "Steps": "20",
        "Sampler": "Euler a",
        "Size": "512x768",
        "Size-1": "512",
        "Size-2": "768",
        "Hashes": '{"x": 1, 2}',
    }
    assert parameters_of("a: b") == {"Prompt": "a: b", "Negative prompt": ""}


def test_the_request_is_read_from_a_jpeg_of_the_web_ui(url: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "a fox\nSteps: 3, Seed: 4, CFG scale: 5".encode("utf-16-be")
    picture = base64.b64encode(encoded(scene(), "JPEG", exif=exif)).decode()
    answer = httpx.post(f"{url}/sdapi/v1/png-info", json={"image": picture}).json()
    assert (answer["parameters"]["Prompt"], answer["parameters"]["Seed"]) == ("a fox", "4")


@pytest.mark.parametrize("fault", sorted(refused()))
def test_a_file_that_is_no_picture_is_refused_or_without_texts(url: str, fault: str) -> None:
    picture = base64.b64encode(refused()[fault]).decode()
    for path in ("png-info", "extra-single-image"):
        answer = httpx.post(f"{url}/sdapi/v1/{path}", json={"image": picture}, timeout=60)
        assert answer.status_code == 422 or (path == "png-info" and answer.status_code == 200), answer.text


def test_a_long_text_is_taken_apart_at_once() -> None:
    for text in (" " * 20_000, "a" * 20_000, "a:" * 10_000, 'a:"' * 6_000, '\\"' * 10_000):
        began = time.process_time()  # not the clock's: what else the machine does is not counted
        parameters_of(f"a\n{text}x")
        assert time.process_time() - began < 1


def _with(text: str) -> PngInfo:
    info = PngInfo()
    info.add_text("parameters", text)
    return info
