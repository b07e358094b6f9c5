"""Inputs as published snippets for SDXL and FLUX have them, and what Replicate's own clients expect of answers."""

import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image
from replicate.client import Client
from replicate.exceptions import ReplicateError
from replicate.helpers import FileOutput
from starlette.testclient import TestClient

from jobs.errors import OutOfMemoryError
from jobs.queue.queue import JobQueue
from tests.app.api.dialects.conftest import BusyWorker
from tests.app.played_worker import PlayedWorker

PREDICTIONS = "/v1/models/lodestar/pocket/predictions"
APPLE = {"prompt": "a red apple"}


@pytest.fixture
def own(url: str) -> Iterator[Client]:
    """Replicate's client."""
    with httpx.HTTPTransport() as transport:
        client = Client("none", base_url=url, transport=transport)
        client.poll_interval = 0.05
        yield client


def created(client: TestClient, **input: Any) -> dict[str, Any]:
    answer = client.post(PREDICTIONS, json={"input": {**APPLE, **input}})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


SDXL = {
    "width": 64,
    "height": 64,
    "refine": "expert_ensemble_refiner",
    "apply_watermark": False,
    "num_inference_steps": 25,
    "prompt_strength": 0.8,
    "high_noise_frac": 0.8,
    "lora_scale": 0.6,
}
FLUX = {
    "go_fast": True,
    "megapixels": "1",
    "num_outputs": 1,
    "aspect_ratio": "1:1",
    "output_format": "webp",
    "output_quality": 80,
    "num_inference_steps": 4,
    "disable_safety_checker": True,
}


@pytest.mark.parametrize("snippet", [SDXL, FLUX], ids=["sdxl", "flux"])
def test_published_snippets_run_and_the_logs_name_what_has_no_effect(
    client: TestClient, snippet: dict[str, Any]
) -> None:
    prediction = created(client, **snippet)
    without = {"refine", "apply_watermark", "prompt_strength", "high_noise_frac", "lora_scale"}
    without |= {"go_fast", "megapixels", "disable_safety_checker"}
    said = {line.split(" ")[0] for line in prediction["logs"].splitlines() if "no effect" in line}
    assert said == without & snippet.keys()


@pytest.mark.parametrize(
    ("input", "size"),
    [
        ({"size": "96x64"}, (96, 64)),  # the AI SDK's size and aspectRatio
        ({"size": "auto"}, (64, 64)),
        ({"aspect_ratio": "1:1"}, (64, 64)),
        ({"aspect_ratio": "16:9"}, (80, 48)),
        ({"aspect_ratio": "9:16"}, (48, 80)),
        ({"aspect_ratio": "9999:1"}, (128, 48)),
        ({"aspect_ratio": "match_input_image"}, (64, 64)),
        ({"aspect_ratio": "custom", "width": 96, "height": 48}, (96, 48)),
    ],
)
def test_a_size_may_be_a_text_or_a_ratio(
    client: TestClient, queue: JobQueue, input: dict[str, Any], size: tuple[int, int]
) -> None:
    request = queue.get(created(client, **input)["id"]).generation
    assert (request.width, request.height) == size


@pytest.mark.parametrize(
    ("input", "end", "kind"),
    [
        ({}, "0.png", "PNG"),
        ({"output_format": "jpg"}, "0.jpeg", "JPEG"),
        ({"output_format": "webp", "output_quality": 20}, "0.webp?quality=20", "WEBP"),
        ({"output_format": "png", "output_quality": 20}, "0.png", "PNG"),
    ],
)
def test_the_output_has_the_format_that_is_asked_for(
    client: TestClient, worker: PlayedWorker, input: dict[str, Any], end: str, kind: str
) -> None:
    prediction = created(client, **input)
    worker.succeed(prediction["id"])
    (address,) = client.get(f"/v1/predictions/{prediction['id']}").json()["output"]
    assert address.endswith(f"/images/{end}")
    assert Image.open(io.BytesIO(client.get(address).content)).format == kind
    assert client.get("/v1/predictions").json()["results"][0]["output"] == [address]


def test_the_quality_of_a_picture_has_bounds(client: TestClient, worker: PlayedWorker) -> None:
    job = created(client)["id"]
    worker.succeed(job)
    small, large = (
        client.get(f"/v1/jobs/{job}/images/0.webp?quality={number}").content for number in (1, 100)
    )
    assert len(small) < len(large)
    answer = client.get(f"/v1/jobs/{job}/images/0.webp?quality=101")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "quality")


def test_over_http_replicates_client_reads_its_output(own: Client, working: None) -> None:
    output = own.run("lodestar/pocket", input={**APPLE, "output_format": "jpg", "num_outputs": 2})
    for file in output:
        assert isinstance(file, FileOutput)
        assert Image.open(io.BytesIO(file.read())).format == "JPEG"
    # Lists hold addresses, or a page would have hundreds of pictures.
    (listed,) = own.predictions.list()
    assert listed.output[0].startswith("http://")


def test_a_prediction_whose_files_are_gone_still_has_their_addresses(
    own: Client, worker: PlayedWorker, artifacts: Any
) -> None:
    prediction = own.predictions.create(model="lodestar/pocket", input=APPLE)
    lease = worker.claim(prediction.id)
    pictures = worker.store(lease)
    worker.leases.succeed(lease, pictures)
    artifacts.delete(pictures[0].key)
    prediction.reload()
    assert prediction.status == "succeeded"
    assert (prediction.output or [""])[0].startswith("http://")


def test_a_stream_has_the_pictures_and_then_the_end(own: Client, working: None) -> None:
    events = list(own.stream("lodestar/pocket", input={**APPLE, "num_outputs": 2}))
    assert [event.event.value for event in events] == ["output", "output", "done"]
    file: Any = events[0].data
    assert isinstance(file, FileOutput)
    assert Image.open(io.BytesIO(file.read())).size == (64, 64)


def test_a_stream_has_pictures_also_for_a_client_that_does_not_name_itself_then(
    client: TestClient, working: None
) -> None:
    agent = {"User-Agent": "replicate-javascript/1.4.0"}
    prediction = client.post(PREDICTIONS, json={"input": APPLE}, headers=agent).json()
    assert "data: data:image/png;base64," in client.get(prediction["urls"]["stream"]).text
    assert "data: http://" in client.get(f"/v1/predictions/{prediction['id']}/stream").text


def test_a_stream_of_a_failed_prediction_raises(own: Client, queue: JobQueue, worker: PlayedWorker) -> None:
    def fail(job_id: str) -> None:
        worker.fail(job_id, OutOfMemoryError("it does not fit"))

    with BusyWorker(queue, fail), pytest.raises(RuntimeError, match="it does not fit"):
        list(own.stream("lodestar/pocket", input=APPLE))


def test_models_are_listed_and_searched(own: Client, client: TestClient) -> None:
    assert [model.id for model in own.models.list()] == ["lodestar/pocket", "lodestar/big"]
    assert [model.id for model in own.models.search("BIG")] == ["lodestar/big"]
    assert [model.id for model in own.models.search("no such model")] == []
    quoted = client.request("QUERY", "/v1/models", content='"big"')  # as the client for JavaScript sends it
    assert [model["name"] for model in quoted.json()["results"]] == ["big"]
    assert client.get("/v1/models").json()["object"] == "list"  # every other client's
    for beta in ("Replicate/Python 2.0.0b4", "AsyncReplicate/Python 2.0.0b4"):
        assert len(client.get("/v1/models", headers={"User-Agent": beta}).json()["results"]) == 2
    with pytest.raises(ReplicateError, match="at most 1000"):
        own.models.search("x" * 1001)


def test_deployments_examples_and_the_readme_are_there(own: Client, client: TestClient) -> None:
    assert [each.name for each in own.deployments.list()] == ["pocket", "big"]
    assert client.get("/v1/models/lodestar/pocket/examples").json()["results"] == []
    assert client.get("/v1/models/lodestar/pocket/readme").text.startswith("# pocket\n")


@pytest.mark.parametrize(
    "path", ["/v1/models/lodestar/pocket/nothing", "/v1/models/acme/app", "/v1/deployments/a/b"]
)
def test_what_a_model_does_not_have_is_not_found(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["status"]) == (404, 404)
