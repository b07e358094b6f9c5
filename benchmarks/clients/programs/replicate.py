"""``replicate``, version 1 of Replicate's Python client."""

import asyncio
from pathlib import Path
from typing import Any

from replicate.client import Client
from replicate.exceptions import ReplicateError
from replicate.helpers import FileOutput

from benchmarks.clients.programs.calls import KEY, PROMPT, URL, call, raised, refused, size

MODEL = "lodestar/pocket"
FEW = {"prompt": PROMPT, "num_inference_steps": 3}
client = Client(KEY, base_url=URL)
client.poll_interval = 0.1


@call("run")
def run() -> None:
    output = client.run(MODEL, input={**FEW, "num_outputs": 2})
    assert all(isinstance(picture, FileOutput) for picture in output)
    assert [size(picture.read()) for picture in output] == [(64, 64)] * 2


@call("run with the input of published snippets")
def run_snippets() -> None:
    for model, fields in (
        (
            "stability-ai/sdxl",
            {
                "width": 64,
                "height": 64,
                "refine": "expert_ensemble_refiner",
                "apply_watermark": False,
                "scheduler": "K_EULER",
                "guidance_scale": 7.5,
                "prompt_strength": 0.8,
                "high_noise_frac": 0.8,
                "disable_safety_checker": True,
            },
        ),
        (
            "black-forest-labs/flux-schnell",
            {
                "go_fast": True,
                "aspect_ratio": "1:1",
                "output_format": "webp",
                "output_quality": 80,
                "megapixels": "1",
            },
        ),
    ):
        (picture,) = client.run(model, input={**FEW, **fields})
        assert picture.read()


@call("run with a version")
def run_version() -> None:
    assert len(list(client.run("lodestar/pocket:pocket", input=FEW))) == 1


@call("run from a picture and a mask")
def run_edit() -> None:
    with Path("table.png").open("rb") as table, Path("mask.png").open("rb") as mask:
        output = client.run(MODEL, input={**FEW, "image": table, "mask": mask, "prompt_strength": 1})
    assert size(next(iter(output)).read()) == (64, 64)


@call("async_run")
def run_async() -> None:
    async def draw() -> Any:
        return await client.async_run(MODEL, input=FEW)

    assert len(list(asyncio.run(draw()))) == 1


@call("stream")
def stream() -> None:
    events = [str(event.event) for event in client.stream(MODEL, input=FEW)]
    assert events[-1].lower().endswith("done"), events
    assert len(events) > 1


@call("predictions.create, reload, progress, wait, get, list")
def predictions() -> None:
    prediction = client.predictions.create(model=MODEL, input={**FEW, "num_inference_steps": 30})
    prediction.reload()
    prediction.wait()
    assert prediction.status == "succeeded", prediction.error
    assert prediction.progress is not None
    assert prediction.progress.percentage == 1.0
    assert client.predictions.get(prediction.id).output == prediction.output
    assert prediction.id in {each.id for each in client.predictions.list()}


@call("predictions.cancel")
def cancel() -> None:
    prediction = client.predictions.create(model=MODEL, input={"prompt": PROMPT, "steps": 250})
    prediction.cancel()
    prediction.wait()
    assert prediction.status == "canceled"


@call("deployments.predictions.create and deployments.get")
def deployments() -> None:
    deployment = client.deployments.get(MODEL)
    prediction = deployment.predictions.create(input=FEW)
    prediction.wait()
    assert prediction.status == "succeeded"


@call("files.create, get, list, delete, and a file as input")
def files() -> None:
    file = client.files.create(Path("table.png"))
    assert client.files.get(file.id).size == file.size
    assert file.id in {each.id for each in client.files.list()}
    output = client.run(MODEL, input={**FEW, "image": file.urls["get"]})
    assert len(list(output)) == 1
    client.files.delete(file.id)


@call("run with file_encoding_strategy url")
def run_upload() -> None:
    with Path("table.png").open("rb") as table:
        output = client.run(MODEL, input={**FEW, "image": table}, file_encoding_strategy="url")
    assert len(list(output)) == 1


@call("models.list, search, get; versions.list and get")
def models() -> None:
    assert MODEL in {f"{model.owner}/{model.name}" for model in client.models.list()}
    assert "pocket" in {model.name for model in client.models.search("pocket")}
    model = client.models.get(MODEL)
    (version,) = model.versions.list()
    assert model.versions.get(version.id).openapi_schema


@call("errors: ReplicateError with the field, and with 401")
def errors() -> None:
    wrong = {"prompt": PROMPT, "steps": 0}
    refusal = raised(ReplicateError, lambda: client.predictions.create(model=MODEL, input=wrong))
    assert refusal.status == 422
    assert "input.steps" in str(refusal.detail)
    stranger = Client("r8_stranger", base_url=URL)
    assert raised(ReplicateError, lambda: stranger.predictions.create(model=MODEL, input=FEW)).status == 401


@refused("models.create", page="replicate.md", says="does not take POST")
def create_model() -> None:
    client.models.create("me", "mine", visibility="private", hardware="cpu")


@refused(
    "hardware.list, collections.list, trainings.list", page="replicate.md", says="nothing is at /v1/hardware"
)
def rest() -> None:
    client.hardware.list()
