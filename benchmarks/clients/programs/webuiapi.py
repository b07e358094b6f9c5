"""``webuiapi``, a Python client of A1111's web UI."""

import base64
import threading
import time
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from PIL import Image
from webuiapi import WebUIApi

from benchmarks.clients.programs.calls import KEY, PROMPT, URL, call, raised, refused

PLACE = urlsplit(URL)
SMALL = {"prompt": PROMPT, "width": 64, "height": 64, "steps": 3}


def api_of(password: str = KEY) -> Any:
    return WebUIApi(host=PLACE.hostname, port=PLACE.port, username="me", password=password)


api = api_of()


@call("txt2img with the sampler and scheduler of each list")
def text_to_image() -> None:
    for sampler in api.util_get_sampler_names():
        result = api.txt2img(**SMALL, sampler_name=sampler, seed=7)
        assert result.image.size == (64, 64)
        assert f"Sampler: {sampler}" in result.info["infotexts"][0]
    for scheduler in api.util_get_scheduler_names():
        assert api.txt2img(**SMALL, sampler_name="Euler", scheduler=scheduler).images


@call("txt2img with batches, a negative prompt, a subseed, guidance")
def text_to_images() -> None:
    result = api.txt2img(**SMALL, batch_size=2, n_iter=2, seed=7, negative_prompt="a cat")
    assert len(result.images) == 4
    assert result.info["all_seeds"] == [7, 8, 9, 10]
    api.txt2img(**SMALL, subseed=3, subseed_strength=0.4)
    api.txt2img(**SMALL, alwayson_scripts={"CLIP guidance": {"args": [{"cutouts": 2}]}})


@call("txt2img with use_async")
async def text_to_image_async() -> None:
    result = await api.txt2img(**SMALL, use_async=True)
    assert result.image.size == (64, 64)


@call("img2img")
def image_to_image() -> None:
    with Image.open("table.png") as table:
        result = api.img2img(images=[table], **SMALL, denoising_strength=0.6)
    assert result.image.size == (64, 64)


@call("img2img with mask_image")
def inpaint() -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 16, 48, 48))
    with Image.open("table.png") as table:
        result = api.img2img(
            images=[table], mask_image=mask, **SMALL, inpainting_fill=1, inpaint_full_res=False
        )
    assert result.image.size == (64, 64)


@call("extra_single_image and extra_batch_images with Lanczos")
def extras() -> None:
    with Image.open("table.png") as table:
        assert api.extra_single_image(image=table, upscaler_1="Lanczos", upscaling_resize=2).image.size == (
            128,
            128,
        )
        assert len(api.extra_batch_images(images=[table, table], upscaler_1="Nearest").images) == 2


@call("png_info")
def png_info() -> None:
    made = api.txt2img(**SMALL, seed=7)
    with Image.open(BytesIO(base64.b64decode(made.json["images"][0]))) as picture:
        assert "Seed: 7" in api.png_info(picture).info


@call("get_progress and interrupt")
def interrupt() -> None:
    thread = threading.Thread(target=lambda: api_of().txt2img(**{**SMALL, "steps": 150}))
    thread.start()
    end = time.monotonic() + 60
    while not (state := api.get_progress())["state"]["job"]:
        assert time.monotonic() < end
    assert state["progress"] < 1
    api.interrupt()
    thread.join(60)
    assert not thread.is_alive()


@call("get_options, set_options, util_set_model, util_get_current_model")
def options() -> None:
    api.set_options({"send_seed": False})
    assert api.get_options()["send_seed"] is False
    api.util_set_model("pocket")
    assert api.util_get_current_model().startswith("pocket")


@call("every list: samplers, models, upscalers, VAEs, LoRAs, embeddings, styles, scripts, memory")
def lists() -> None:
    assert "pocket" in str(api.util_get_model_names())
    for read in (
        api.get_samplers, api.get_schedulers, api.get_sd_vae, api.get_upscalers, api.get_latent_upscale_modes,
        api.get_loras, api.get_sd_models, api.get_hypernetworks, api.get_face_restorers, api.get_realesrgan_models,
        api.get_prompt_styles, api.get_scripts, api.get_embeddings, api.get_memory, api.get_cmd_flags,
        api.controlnet_model_list, api.controlnet_module_list,
    ):  # fmt: skip
        assert read() is not None, read
    api.refresh_checkpoints()
    api.util_wait_for_ready(check_interval=0.1)


@call("controlnet_version, and controlnet_detect with each module that makes a map")
def maps() -> None:
    assert api.controlnet_version() == 3
    with Image.open("table.png") as table:
        for module in api.controlnet_module_list():
            if module.startswith("ip-adapter"):
                continue  # the picture itself is read
            (found,) = api.controlnet_detect([table], module=module, processor_res=64).images
            assert found.mode == "RGB", module


@call("errors: RuntimeError with 401, and with the field")
def errors() -> None:
    assert "401" in str(raised(RuntimeError, lambda: api_of("sk-stranger").txt2img(**SMALL)))
    assert "steps" in str(raised(RuntimeError, lambda: api.txt2img(**{**SMALL, "steps": 0})))


@refused("txt2img with restore_faces", page="a1111.md#fields-of-txt2img", says="restore_faces")
def restore_faces() -> None:
    api.txt2img(**SMALL, restore_faces=True)


@refused("txt2img with tiling", page="a1111.md#fields-of-txt2img", says="tiling")
def tiling() -> None:
    api.txt2img(**SMALL, tiling=True)


@refused("txt2img with a script", page="a1111.md#fields-of-txt2img", says="script_name")
def script() -> None:
    api.txt2img(**SMALL, script_name="X/Y/Z plot", script_args=[])
