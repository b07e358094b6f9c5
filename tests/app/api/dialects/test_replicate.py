"""The unmodified ``replicate`` client against the service."""

import asyncio
import io
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from fastapi import FastAPI
from PIL import Image
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.helpers import FileOutput
from replicate.prediction import Prediction
from replicate.webhook import InvalidSignatureError

from app.api.dialects.replicate.request import PredictionInput
from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.errors import OutOfMemoryError
from jobs.queue.queue import JobQueue
from jobs.requests.request import GenerateRequest
from jobs.requests.tasks import QueryTask
from jobs.resolve.request import resolve
from jobs.status.job import JobStatus
from tests.app.api.dialects.conftest import BusyWorker
from tests.app.api.webhooks.receiver import receiving
from tests.app.conftest import serving
from tests.app.played_worker import PlayedWorker

MODEL = "lodestar/pocket"
APPLE = {"prompt": "a red apple"}


@contextmanager
def client_of(url: str, token: str = "none", **options: Any) -> Iterator[Client]:
    """A client that closes its connections at the end, for which it has no method."""
    with httpx.HTTPTransport(**options) as transport:
        client = Client(token, base_url=url, transport=transport)
        client.poll_interval = 0.05
        yield client


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with client_of(url) as client:
        yield client


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def progress_of(prediction: Prediction) -> Prediction.Progress | None:
    return prediction.progress


def test_run_makes_pictures(client: Client, working: None) -> None:
    output = client.run(MODEL, input={**APPLE, "num_outputs": 2})
    assert [opened(file.read()).size for file in output] == [(64, 64), (64, 64)]


@pytest.mark.parametrize("version", ["pocket", "lodestar/pocket", "lodestar/pocket:pocket"])
def test_a_version_is_a_model_by_any_of_its_names(client: Client, version: str) -> None:
    prediction = client.predictions.create(version=version, input=APPLE)
    assert (prediction.status, prediction.model, prediction.version) == ("starting", MODEL, "pocket")


def test_run_takes_a_version_and_polls_when_told_not_to_wait(client: Client, working: None) -> None:
    for wait in (True, False):
        (file,) = client.run("lodestar/pocket:pocket", input=APPLE, wait=wait)
        assert opened(file.read()).format == "PNG"


@pytest.mark.slow("the client's own wait runs out, in real seconds")
def test_a_run_whose_wait_runs_out_still_gets_its_output(
    client: Client, queue: JobQueue, worker: PlayedWorker
) -> None:
    class Slow:
        """Works on a job for longer than its client waits."""

        def __init__(self) -> None:
            self.looks = 0

        def __call__(self, job_id: str) -> None:
            self.lease = worker.claim(job_id)

    slow = Slow()
    with BusyWorker(queue, slow):
        waited = client.models.predictions.create(MODEL, APPLE, wait=2)
    # The client's `run` would take "processing" for an end.
    assert queue.get(waited.id).status is JobStatus.RUNNING
    assert (waited.status, waited.output) == ("starting", None)
    worker.leases.succeed(slow.lease, worker.store(slow.lease))
    waited.wait()
    assert (waited.status, len(waited.output or [])) == ("succeeded", 1)


@pytest.fixture
def secure(app: FastAPI, tmp_path: Path) -> Iterator[Client]:
    """A client of the API behind TLS."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    files: dict[str, Any] = {"ssl_certfile": tmp_path / "cert.pem", "ssl_keyfile": tmp_path / "key.pem"}
    certificate.cert_chain_pems[0].write_to_path(str(files["ssl_certfile"]))
    certificate.private_key_pem.write_to_path(str(files["ssl_keyfile"]))
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    with (
        serving(app, **files) as url,
        client_of(url.replace("http:", "https:"), verify=trusted) as client,
    ):
        yield client


def test_over_tls_the_output_is_files_that_can_be_read(secure: Client, working: None) -> None:
    (output,) = secure.run(MODEL, input=APPLE)
    assert isinstance(output, FileOutput)
    assert opened(output.read()).size == (64, 64)


def test_the_life_of_a_prediction(client: Client, worker: PlayedWorker) -> None:
    prediction = client.predictions.create(
        model=MODEL, input={**APPLE, "num_inference_steps": 20, "guidance_scale": 3.5, "seed": 7}
    )
    assert (prediction.status, prediction.output, prediction.started_at) == ("starting", None, None)
    assert prediction.input is not None
    assert (prediction.input["num_inference_steps"], prediction.input["guidance_scale"]) == (20, 3.5)
    assert progress_of(prediction) is None

    lease = worker.claim(prediction.id)
    worker.report(lease, step=5, steps=20, eta_s=75)
    prediction.reload()
    assert prediction.status == "processing"
    progress = progress_of(prediction)
    assert progress is not None
    assert (progress.percentage, progress.current, progress.total) == (0.25, 5, 20)
    assert "Using seed: 7\n" in (prediction.logs or "")
    assert "[01:15 left]" in (prediction.logs or "")

    worker.leases.succeed(lease, worker.store(lease))
    prediction.wait()
    assert (prediction.status, prediction.error) == ("succeeded", None)
    seen = httpx.get((prediction.urls or {})["get"]).json()["output"]  # by another client
    assert opened(httpx.get(seen[0]).content).size == (64, 64)
    assert (prediction.metrics or {})["predict_time"] > 0
    assert prediction.completed_at is not None
    assert httpx.get((prediction.urls or {})["get"]).json()["status"] == "succeeded"


def test_the_echoed_input_can_be_sent_again(client: Client, queue: JobQueue) -> None:
    input = {
        **APPLE,
        "scheduler": "K_EULER",
        "guidance": {"scale": 0.2},
        "width": 96,
        "negative_prompt": "blue",
    }
    first = client.predictions.create(model=MODEL, input=input)
    again = client.predictions.create(model=MODEL, input=first.input)
    assert queue.get(again.id).request == queue.get(first.id).request


@pytest.mark.parametrize(
    ("scheduler", "sampler", "schedule"),
    [
        ("DDIM", "ddim", "default"),
        ("K_EULER", "euler", "default"),
        ("K_EULER_ANCESTRAL", "euler_ancestral", "default"),
        ("PNDM", "pndm", "default"),
        ("KLMS", "lms", "default"),
        ("HeunDiscrete", "heun", "default"),
        ("KarrasDPM", "dpmpp_2m", "karras"),
        ("EulerDiscreteScheduler", "euler", "default"),
        ("UniPCMultistep", "unipc", "default"),
        ("dpmpp_2m_sde_karras", "dpmpp_2m_sde", "karras"),
        ("DPMSolverMultistep", "dpmpp_2m", "default"),
        ("dpmpp_2m", "dpmpp_2m", "default"),
    ],
)
def test_schedulers_are_known_by_their_customary_names(
    client: Client, queue: JobQueue, scheduler: str, sampler: str, schedule: str
) -> None:
    prediction = client.predictions.create(model=MODEL, input={**APPLE, "scheduler": scheduler})
    request = queue.get(prediction.id).generation
    assert (request.sampler, request.schedule) == (sampler, schedule)


def test_a_scheduler_goes_with_a_native_schedule_unless_it_implies_another(
    client: Client, queue: JobQueue
) -> None:
    euler = {**APPLE, "scheduler": "K_EULER", "schedule": "karras"}
    request = queue.get(client.predictions.create(model=MODEL, input=euler).id).generation
    assert (request.sampler, request.schedule) == ("euler", "karras")
    with pytest.raises(ReplicateError, match="scheduler KarrasDPM implies schedule karras"):
        client.predictions.create(
            model=MODEL, input={**APPLE, "scheduler": "KarrasDPM", "schedule": "default"}
        )


def test_native_names_mean_the_same(client: Client, queue: JobQueue) -> None:
    customary = {"num_outputs": 2, "num_inference_steps": 9, "guidance_scale": 2.5, "scheduler": "DDIM"}
    native = {"num_images": 2, "steps": 9, "cfg_scale": 2.5, "sampler": "ddim"}
    former = {**native, "images": 2}
    del former["num_images"]
    requests = [
        queue.get(client.predictions.create(model=MODEL, input={**APPLE, "seed": 1, **names}).id).request
        for names in (customary, native, former)
    ]
    assert requests[0] == requests[1] == requests[2]


def test_a_waiting_prediction_is_canceled_at_once_and_a_running_one_when_it_has_stopped(
    client: Client, worker: PlayedWorker
) -> None:
    waiting = client.predictions.create(model=MODEL, input=APPLE)
    waiting.cancel()
    assert waiting.status == "canceled"
    assert waiting.input == {**(waiting.input or {}), **APPLE}

    running = client.predictions.create(model=MODEL, input=APPLE)
    lease = worker.claim(running.id)
    assert client.predictions.cancel(running.id).status == "processing"
    worker.leases.cancel(lease)
    running.wait()
    assert running.status == "canceled"


def test_a_prediction_that_fails_says_why(client: Client, queue: JobQueue, worker: PlayedWorker) -> None:
    def fail(job_id: str) -> None:
        worker.fail(job_id, OutOfMemoryError("it does not fit"))

    with BusyWorker(queue, fail), pytest.raises(ModelError, match="out_of_memory: it does not fit") as caught:
        client.run(MODEL, input=APPLE)
    assert caught.value.prediction.status == "failed"


def test_predictions_are_listed_page_by_page(settings: ApiSettings, queue: JobQueue, app: FastAPI) -> None:
    many = JobQueue(app.state.services.redis, max_queued=1000)
    resolved = resolve(GenerateRequest(prompt="a red apple"), app.state.services.catalog)
    ids = [many.submit(resolved).job.id for _ in range(103)]
    with serving(app) as url, client_of(url) as client:
        first = client.predictions.list()
        assert first.next is not None
        second = client.predictions.list(first.next)
    assert [one.id for one in [*first, *second]] == ids[::-1]
    assert (len(first), second.next, first.previous) == (100, None, None)


def test_a_job_that_draws_nothing_is_no_prediction(client: Client, queue: JobQueue) -> None:
    task = queue.submit(QueryTask(clip="pocket-m", text="a red apple")).job
    drawn = client.predictions.create(MODEL, input=APPLE)
    assert [one.id for one in client.predictions.list()] == [drawn.id]
    for call in (client.predictions.get, client.predictions.cancel):
        with pytest.raises(ReplicateError) as caught:
            call(task.id)
        assert caught.value.status == 404
    assert queue.get(task.id).status is JobStatus.QUEUED


def test_models_versions_and_deployments_are_found(client: Client, queue: JobQueue) -> None:
    model = client.models.get(MODEL)
    assert (model.id, model.visibility) == (MODEL, "public")
    assert model.latest_version is not None
    schemas = model.latest_version.openapi_schema["components"]["schemas"]
    assert {"prompt", "num_outputs", "guidance"} <= schemas["Input"]["properties"].keys()
    assert schemas["Output"]["type"] == "array"
    assert [version.id for version in model.versions.list()] == ["pocket"]
    assert model.versions.get("pocket") == model.latest_version

    deployment = client.deployments.get("lodestar/big")
    prediction = deployment.predictions.create(input=APPLE)
    assert queue.get(prediction.id).request.model == "big"


def test_a_model_whose_id_has_a_slash_is_found_by_both_kinds_of_clients(
    settings: ApiSettings, queue: JobQueue
) -> None:
    catalog = settings.models_file.read_text().replace("[models.big]", '[models."example/big"]')
    settings.models_file.write_text(catalog)
    with serving(create_app(settings)) as url, client_of(url) as client:
        assert client.models.get("example/big").id == "example/big"
        assert httpx.get(f"{url}/v1/models/example/big").json()["object"] == "model"
        prediction = client.predictions.create(model="example/big", input=APPLE)
    assert queue.get(prediction.id).request.model == "example/big"


def test_the_async_client_does_the_same(url: str, working: None) -> None:
    async def life(client: Client) -> None:
        client.poll_interval = 0.05
        output: Any = await client.async_run(MODEL, input=APPLE)
        assert opened(await output[0].aread()).size == (64, 64)
        prediction = await client.predictions.async_create(model=MODEL, input=APPLE)
        await prediction.async_wait()
        await prediction.async_cancel()  # too late, and harmless
        await prediction.async_reload()
        assert prediction.status == "succeeded"
        assert len(await client.predictions.async_list()) == 2
        assert (await client.models.async_get(MODEL)).name == "pocket"

    async def main() -> None:
        async with httpx.AsyncHTTPTransport() as transport:
            await life(Client("none", base_url=url, transport=transport))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("input", "field"),
    [
        ({}, "input.prompt"),
        ({"prompt": "a " * 2001}, "input.prompt"),
        ({**APPLE, "num_outputs": 99}, "input.num_outputs"),
        ({**APPLE, "num_inference_steps": 0}, "input.num_inference_steps"),
        ({**APPLE, "steps": 0}, "input.steps"),
        ({**APPLE, "scheduler": "K_DPM_3"}, "input.scheduler"),
        ({**APPLE, "steps": 5, "num_inference_steps": 5}, "input.num_inference_steps"),
        ({**APPLE, "width": 500}, "input.width"),
        ({**APPLE, "image": "https://example.com/a.png"}, "input.image"),
        ({**APPLE, "size": "64by64"}, "input.size"),
        ({**APPLE, "size": "500x64"}, "input.size"),
        ({**APPLE, "size": "64x64", "width": 64}, "input.size"),
        ({**APPLE, "aspect_ratio": "wide"}, "input.aspect_ratio"),
        ({**APPLE, "output_format": "tiff"}, "input.output_format"),
        ({**APPLE, "output_quality": 101}, "input.output_quality"),
        ({**APPLE, "model": "big"}, "input.model"),
        ({**APPLE, "guidance": {"cutouts": 0}}, "input.guidance.cutouts"),
        ({**APPLE, "guidance": {"clip": "none"}}, "input.guidance.clip"),
    ],
)
def test_an_input_at_fault_is_named(client: Client, input: dict[str, Any], field: str) -> None:
    with pytest.raises(ReplicateError) as caught:
        client.run(MODEL, input=input)
    error = caught.value
    assert (error.status, error.title in {"Invalid request", "Unknown model"}) == (422, True)
    assert error.detail
    answer = httpx.post(f"{client._base_url}/v1/models/{MODEL}/predictions", json={"input": input})
    assert [each["field"] for each in answer.json()["invalid_fields"]] == [field]


def test_what_is_not_there_is_not_found(client: Client) -> None:
    for call in (
        lambda: client.predictions.get("no-such-job"),
        lambda: client.predictions.cancel("no-such-job"),
        lambda: client.models.get("stability-ai/sdxl"),
        lambda: client.run("stability-ai/sdxl", input=APPLE),
        lambda: client.deployments.get("acme/app"),
        lambda: client.files.get("file"),
    ):
        with pytest.raises(ReplicateError) as caught:
            call()
        assert caught.value.status == 404
        assert caught.value.detail
    with pytest.raises(ReplicateError, match="lodestar/pocket") as caught:
        client.predictions.create(version="39ed52f2a78e", input=APPLE)
    assert caught.value.status == 422


def test_a_full_queue_and_a_lost_redis_are_told_in_replicates_words(
    client: Client, queue: JobQueue, settings: ApiSettings, without_redis: ApiSettings, app: FastAPI
) -> None:
    resolved = resolve(GenerateRequest(prompt="a red apple"), app.state.services.catalog)
    for _ in range(settings.max_queued):
        queue.submit(resolved)
    with pytest.raises(ReplicateError, match="5 jobs are waiting") as caught:
        client.run(MODEL, input=APPLE)
    assert caught.value.status == 429
    away = create_app(without_redis)
    with (
        serving(away) as url,
        client_of(url) as hopeful,
        pytest.raises(ReplicateError, match="cannot be reached") as caught,
    ):
        hopeful.run(MODEL, input=APPLE)
    assert caught.value.status == 503


def test_every_status_is_one_of_replicates(client: Client, queue: JobQueue, worker: PlayedWorker) -> None:
    jobs = [client.predictions.create(model=MODEL, input=APPLE).id for _ in range(5)]
    worker.succeed(jobs[0])
    worker.fail(jobs[1], OutOfMemoryError("it does not fit"))
    queue.cancel(jobs[2])
    worker.claim(jobs[3])
    found = {prediction.id: prediction.status for prediction in client.predictions.list()}
    assert [found[job] for job in jobs] == ["succeeded", "failed", "canceled", "processing", "starting"]


def test_webhooks_are_signed_as_the_client_verifies_them(settings: ApiSettings, worker: PlayedWorker) -> None:
    update = {"webhook_networks": (ip_network("127.0.0.0/8"),), "serve_webhook_secret": True}
    open_settings = settings.model_copy(update=update)
    with (
        receiving() as receiver,
        serving(create_app(open_settings)) as url,
        client_of(url) as client,
    ):
        prediction = client.predictions.create(
            model=MODEL, input=APPLE, webhook=receiver.url, webhook_events_filter=["completed"]
        )
        worker.succeed(prediction.id)
        (message,) = receiver.wait_for(1)
        secret = client.webhooks.default.secret()
        client.webhooks.validate(headers=message.headers, body=message.body.decode(), secret=secret)
        with pytest.raises(InvalidSignatureError):
            client.webhooks.validate(headers=message.headers, body="{}", secret=secret)
        prediction.reload()
    told = Prediction(**json.loads(message.body))
    assert (told.id, told.status) == (prediction.id, "succeeded")
    assert [address.removeprefix(url) for address in told.output or ()] == [
        f"/v1/jobs/{prediction.id}/images/0.png"
    ]


def test_a_webhook_that_cannot_be_served_is_refused(client: Client) -> None:
    for fields, field in (
        ({"webhook": "http://127.0.0.1/hook"}, "webhook.url"),
        ({"webhook": "no address"}, "webhook.url"),
        ({"webhook": "https://example.com", "webhook_events_filter": ["logs"]}, "webhook_events_filter"),
    ):
        body = {"input": APPLE, **fields}
        answer = httpx.post(f"{client._base_url}/v1/models/{MODEL}/predictions", json=body)
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["invalid_fields"]] == [field]


def test_null_means_left_out_for_every_field_that_may_be(client: Client, queue: JobQueue) -> None:
    fields = PredictionInput.model_fields
    nothing = {name: None for name, field in fields.items() if not field.is_required()}
    body = {"input": {**APPLE, **nothing}, "webhook": None, "webhook_events_filter": None, "stream": None}
    answer = httpx.post(f"{client._base_url}/v1/models/{MODEL}/predictions", json=body)
    assert answer.status_code == 201, answer.text
    request = queue.get(answer.json()["id"]).generation
    assert (request.prompt, request.negative_prompt, request.num_images) == ("a red apple", "", 1)


def test_an_empty_prompt_is_drawn(client: Client, queue: JobQueue) -> None:
    prediction = client.predictions.create(model=MODEL, input={"prompt": "", "negative_prompt": "blue"})
    assert queue.get(prediction.id).generation.prompt == ""
