"""The unmodified ``openai`` client against the service."""

import asyncio
import base64
import io
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import openai
import pytest
from fastapi import FastAPI
from openai.types import ImageGenCompletedEvent
from PIL import Image

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.errors import OutOfMemoryError
from jobs.queue.queue import JobQueue
from jobs.requests.request import GenerateRequest
from jobs.requests.samplers import SamplerName
from jobs.resolve.request import resolve
from jobs.status.job import Job, JobStatus
from tests.app.api.dialects.conftest import BusyWorker, FirstJob
from tests.app.api.test_main import process
from tests.app.conftest import serving
from tests.app.played_worker import PlayedWorker, picture
from tests.waiting import until

PROMPT = "a red apple"


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        yield client


def decoded(data: str | None) -> Image.Image:
    picture = Image.open(io.BytesIO(base64.b64decode(data or "")))
    picture.load()
    return picture


def fetched(url: str | None) -> Image.Image:
    picture = Image.open(io.BytesIO(httpx.get(url or "").raise_for_status().content))
    picture.load()
    return picture


def test_a_prompt_is_answered_with_pictures_in_both_forms(client: openai.OpenAI, working: None) -> None:
    answer = client.images.generate(prompt=PROMPT, n=2)
    assert answer.data is not None
    assert [decoded(image.b64_json).size for image in answer.data] == [(64, 64), (64, 64)]
    assert [fetched(image.url).tobytes() for image in answer.data] == [
        decoded(image.b64_json).tobytes() for image in answer.data
    ]
    assert (answer.size, answer.output_format, answer.quality) == ("64x64", "png", "medium")
    assert answer.created > 1_700_000_000
    seeds = [image.model_extra["seed"] for image in answer.data if image.model_extra]
    assert seeds[1] == seeds[0] + 1


@pytest.mark.parametrize(
    ("wanted", "missing"), [("url", "b64_json"), ("b64_json", "url")], ids=["url", "b64_json"]
)
def test_the_form_that_is_asked_for_is_the_only_one(
    client: openai.OpenAI, working: None, wanted: Any, missing: str
) -> None:
    answer = client.images.generate(prompt=PROMPT, response_format=wanted)
    assert answer.data is not None
    assert getattr(answer.data[0], wanted)
    assert getattr(answer.data[0], missing) is None


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_pictures_come_in_the_format_that_is_asked_for(
    client: openai.OpenAI, working: None, kind: Any
) -> None:
    answer = client.images.generate(prompt=PROMPT, output_format=kind)
    assert answer.data is not None
    assert decoded(answer.data[0].b64_json).format == kind.upper()
    assert fetched(answer.data[0].url).format == kind.upper()


def test_output_compression_is_the_quality_of_the_file(client: openai.OpenAI, working: None) -> None:
    def size(compression: int) -> int:
        answer = client.images.generate(
            prompt=PROMPT, output_format="jpeg", output_compression=compression, extra_body={"seed": 7}
        )
        assert answer.data is not None
        return len(answer.data[0].b64_json or "")

    assert size(10) < size(60) < size(100)


def test_our_own_fields_are_taken_at_the_top_level_and_mean_the_same(
    client: openai.OpenAI, working: None, first_job: FirstJob
) -> None:
    client.images.generate(
        prompt=PROMPT,
        model="pocket",
        size="96x64",
        n=3,
        extra_body={
            "negative_prompt": "blurry",
            "steps": 12,
            "cfg_scale": 5.5,
            "sampler": "dpmpp_2m",
            "seed": 9,
            "guidance": {"scale": 0.2, "cutouts": 8},
            "timeout_s": 60,
        },
    )
    request = first_job().generation
    assert (request.width, request.height, request.num_images) == (96, 64, 3)
    assert (request.negative_prompt, request.steps, request.cfg_scale) == ("blurry", 12, 5.5)
    assert (request.sampler, request.seed, request.timeout_s) == (SamplerName.DPMPP_2M, 9, 60)
    assert request.guidance is not None
    assert (request.guidance.scale, request.guidance.cutouts) == (0.2, 8)


@pytest.mark.parametrize(
    ("quality", "steps"),
    [("auto", 25), ("medium", 25), ("low", 12), ("high", 50), ("hd", 50), ("xhigh", 75), ("max", 100)],
)
def test_quality_is_a_number_of_steps(
    client: openai.OpenAI, working: None, first_job: FirstJob, quality: Any, steps: int
) -> None:
    client.images.generate(prompt=PROMPT, quality=quality)
    assert first_job().generation.steps == steps


def test_nulls_and_fields_without_effect_are_taken(client: openai.OpenAI, working: None) -> None:
    answer = client.images.generate(
        prompt=PROMPT,
        model=None,
        n=None,
        size="auto",
        background="opaque",
        moderation="low",
        user="user-1",
        quality=None,
        response_format=None,
        output_format=None,
        style=None,
    )
    assert answer.data is not None
    assert len(answer.data) == 1
    assert answer.safety_identifier == "user-1"


def test_a_stream_ends_with_an_event_for_each_picture(client: openai.OpenAI, working: None) -> None:
    stream = client.images.generate(
        prompt=PROMPT, n=2, stream=True, partial_images=2, output_format="webp", quality="low"
    )
    events = [event for event in stream if isinstance(event, ImageGenCompletedEvent)]
    assert [decoded(event.b64_json).format for event in events] == ["WEBP", "WEBP"]
    assert {(event.type, event.size, event.quality, event.output_format) for event in events} == {
        ("image_generation.completed", "64x64", "low", "webp")
    }
    assert {event.usage.total_tokens for event in events} == {0}


@pytest.mark.slow("the stream paces its partial images, in real seconds")
def test_partial_images_are_the_previews(
    client: openai.OpenAI, queue: JobQueue, worker: PlayedWorker
) -> None:
    events: list[Any] = []

    def were_seen(number: int) -> bool:
        return len(events) == number

    def draw(job_id: str) -> None:
        lease = worker.claim(job_id)
        assert lease.generation.preview_every_steps == 8
        for number, step in enumerate((8, 16), 1):
            worker.leases.preview(lease, 0, step, picture(16, 16, tint=step))
            # The reader is sent the newest preview of each look.
            until(partial(were_seen, number))
        worker.leases.preview(lease, 0, 24, picture(16, 16, tint=24))
        time.sleep(1.5)  # for a look, which tells the reader nothing: it has two
        worker.leases.succeed(lease, worker.store(lease))

    with BusyWorker(queue, draw):
        for event in client.images.generate(prompt=PROMPT, stream=True, partial_images=2):
            events.append(event)
    *partials, completed = events
    assert isinstance(completed, ImageGenCompletedEvent)
    assert [event.type for event in partials] == ["image_generation.partial_image"] * 2
    assert [getattr(event, "partial_image_index", None) for event in partials] == [0, 1]
    assert [decoded(event.b64_json).size for event in partials] == [(16, 16)] * 2
    assert partials[0].b64_json != partials[1].b64_json


def test_the_async_client_streams_and_generates(url: str, working: None) -> None:
    async def generate() -> None:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            stream = await client.images.generate(prompt=PROMPT, stream=True)
            assert [event.type async for event in stream] == ["image_generation.completed"]
            answer = await client.images.generate(prompt=PROMPT)
            assert answer.data is not None

    asyncio.run(generate())


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    models = list(client.models.list())
    assert [model.id for model in models] == ["pocket", "big"]
    assert client.models.retrieve("big") == models[1]
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-image-1")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": "a " * 2001}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"size": "64 x 64"}, "size"),
        ({"size": "4096x4096"}, "size"),
        ({"size": "64x0"}, "size"),
        ({"quality": "best"}, "quality"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": 50}, "output_compression"),
        ({"stream": True, "partial_images": 4}, "partial_images"),
        ({"n": 2, "extra_body": {"num_images": 2}}, "n"),
        ({"n": 2, "extra_body": {"images": 2}}, "n"),
        ({"extra_body": {"images": 2, "num_images": 3}}, "num_images"),
        ({"size": "64x64", "extra_body": {"width": 64}}, "size"),
        ({"extra_body": {"steps": 1000}}, "steps"),
        ({"extra_body": {"guidance": {"cutouts": 0}}}, "guidance.cutouts"),
        ({"extra_body": {"frames": 3}}, "frames"),
        ({"n": 3, "extra_body": {"seed": 2**32 - 2}}, "seed"),
    ],
)
def test_a_field_at_fault_is_a_bad_request_that_names_it(
    client: openai.OpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(**{"prompt": PROMPT, **fields})
    error = caught.value
    assert (error.type, error.param, error.code) == ("invalid_request_error", param, "invalid_request")
    assert error.request_id == error.response.headers["x-request-id"]
    assert error.response.headers["x-should-retry"] == "false"


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="it holds: pocket, big") as caught:
        client.images.generate(prompt=PROMPT, model="dall-e-3")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_full_queue_is_a_rate_limit_that_may_be_tried_again(
    client: openai.OpenAI, queue: JobQueue, settings: ApiSettings, app: FastAPI
) -> None:
    resolved = resolve(GenerateRequest(prompt=PROMPT), app.state.services.catalog)
    for _ in range(settings.max_queued):
        queue.submit(resolved)
    with pytest.raises(openai.RateLimitError) as caught:
        client.images.generate(prompt=PROMPT)
    assert caught.value.code == "queue_full"
    assert int(caught.value.response.headers["Retry-After"]) > 0
    assert "x-should-retry" not in caught.value.response.headers


def test_redis_away_is_an_error_of_the_server_that_may_be_tried_again(without_redis: ApiSettings) -> None:
    app = create_app(without_redis)
    with serving(app) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            client.images.generate(prompt=PROMPT)
        assert (caught.value.status_code, caught.value.code) == (503, "queue_unavailable")
        assert "x-should-retry" not in caught.value.response.headers


@pytest.mark.parametrize("stream", [False, True])
def test_a_job_that_fails_is_an_error_that_is_not_tried_again(
    url: str, queue: JobQueue, worker: PlayedWorker, stream: bool
) -> None:
    def fail(job_id: str) -> None:
        worker.fail(job_id, OutOfMemoryError("the picture does not fit the device's memory"))

    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=2)
    with BusyWorker(queue, fail), client, pytest.raises(openai.APIError, match="does not fit") as caught:
        list(client.images.generate(prompt=PROMPT, stream=stream))
    assert (caught.value.type, caught.value.code) == ("server_error", "job_failed")
    assert len(queue.list().data) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_job_that_somebody_cancels_is_a_conflict(
    url: str, queue: JobQueue, stream: bool, client: openai.OpenAI
) -> None:
    with BusyWorker(queue, queue.cancel), pytest.raises(openai.APIError, match="was canceled") as caught:
        list(client.images.generate(prompt=PROMPT, stream=stream))
    assert caught.value.code == "job_canceled"
    assert stream or isinstance(caught.value, openai.ConflictError)


def test_the_same_idempotency_key_gives_the_same_pictures(
    client: openai.OpenAI, working: None, queue: JobQueue
) -> None:
    answers = [
        client.images.generate(prompt=PROMPT, extra_headers={"Idempotency-Key": "k"}).data for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert len(queue.list().data) == 1
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="a green pear", extra_headers={"Idempotency-Key": "k"})
    assert caught.value.code == "idempotency_conflict"


def test_bodies_and_methods_that_cannot_be_taken_are_answered_in_the_same_words(url: str) -> None:
    address = f"{url}/v1/images/generations"
    json_type = {"Content-Type": "application/json"}
    for answer, status, code in (
        (httpx.post(address, content="{", headers=json_type), 400, "invalid_json"),
        (httpx.post(address, data={"prompt": PROMPT}), 415, "unsupported_media_type"),
        (httpx.get(address), 405, "method_not_allowed"),
    ):
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (status, code)
        assert error.keys() == {"message", "type", "param", "code"}


def hang_up(url: str, body: dict[str, object], first_job: FirstJob, **headers: str) -> Job:
    """Ask for a picture and close the connection once the job is there."""
    address, content = httpx.URL(url), json.dumps(body)
    lines = ["POST /v1/images/generations HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(content)}", "", content]
    with socket.create_connection((address.host, address.port or 80)) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return first_job()


@pytest.mark.parametrize("stream", [False, True])
def test_who_hangs_up_takes_the_job_along(
    url: str, first_job: FirstJob, ending: Callable[[str], Job], stream: bool
) -> None:
    job = hang_up(url, {"prompt": PROMPT, "stream": stream}, first_job)
    assert ending(job.id).status is JobStatus.CANCELED


@pytest.mark.parametrize("stream", [False, True])
def test_who_has_a_key_may_hang_up_and_come_back(
    url: str, first_job: FirstJob, queue: JobQueue, worker: PlayedWorker, stream: bool
) -> None:
    body: dict[str, Any] = {"prompt": PROMPT, "stream": stream}
    job = hang_up(url, body, first_job, Idempotency_Key="k")
    httpx.get(f"{url}/v1/jobs", timeout=30)
    assert queue.get(job.id).status is JobStatus.QUEUED
    worker.succeed(job.id)
    again = httpx.post(
        f"{url}/v1/images/generations", json=body, headers={"Idempotency-Key": "k"}, timeout=60
    )
    assert job.id in again.text


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_stops_says_so_and_its_abandoned_job_is_canceled(
    settings: ApiSettings, first_job: FirstJob, ending: Callable[[str], Job], stream: bool
) -> None:
    with process(settings, stop_timeout_s=20) as (running, url), ThreadPoolExecutor() as threads:
        body = {"prompt": PROMPT, "stream": stream}
        call = threads.submit(httpx.post, f"{url}/v1/images/generations", json=body, timeout=60)
        job = first_job()
        time.sleep(0.5)
        running.send_signal(signal.SIGTERM)
        answer = call.result(timeout=60)
    assert answer.status_code == (200 if stream else 503)
    assert "stopping" in answer.text
    assert ending(job.id).status is JobStatus.CANCELED
