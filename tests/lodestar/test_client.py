import io
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from PIL import Image

from app.api.main import create_app
from app.api.settings import ApiSettings
from app.stack.preflight import free_port
from jobs.errors import DeadlineExceededError
from jobs.requests.guidance import Guidance
from jobs.requests.request import GenerateRequest
from jobs.status.job import JobStatus
from lodestar.client import Client
from lodestar.errors import RefusedError, ServerUnavailableError, ServerUnreachableError, WaitTimeoutError
from tests.app.conftest import serving
from tests.app.played_worker import PlayedWorker

REQUEST = GenerateRequest(prompt="a red apple", seed=7, num_images=2)


def then(*steps: Callable[[], object]) -> Callable[[float], None]:
    """A way to pass the time between two looks: each time the next step is taken."""
    waiting = list(steps)

    def sleep(seconds: float) -> None:
        if waiting:
            waiting.pop(0)()

    return sleep


def test_a_job_is_submitted_as_it_was_asked_for(api: Client) -> None:
    job = api.submit(GenerateRequest(prompt="a red apple", seed=7, guidance=Guidance()))
    assert job.status is JobStatus.QUEUED
    assert (job.generation.seed, job.generation.model) == (7, "pocket")
    assert job.generation.guidance is not None
    assert job.generation.guidance.cutouts == 4
    assert api.jobs.get(job.id) == job


def test_waiting_shows_every_step_and_returns_the_finished_job(api: Client, worker: PlayedWorker) -> None:
    job_id = api.submit(REQUEST).id
    seen: list[tuple[JobStatus, int]] = []
    lease = worker.claim(job_id)
    sleep = then(
        lambda: worker.report(lease, step=12, steps=50),
        lambda: worker.leases.succeed(lease, worker.store(lease)),
    )
    with Client(api.url, sleep=sleep) as client:
        job = client.jobs.wait(job_id, progress=lambda job: seen.append((job.status, job.progress.step)))
    assert job.status is JobStatus.SUCCEEDED
    assert seen[:2] == [(JobStatus.RUNNING, 0), (JobStatus.RUNNING, 12)]
    assert seen[-1][0] is JobStatus.SUCCEEDED


def test_pictures_come_as_png(api: Client, worker: PlayedWorker) -> None:
    job_id = api.submit(REQUEST).id
    worker.succeed(job_id)
    pictures = [
        Image.open(io.BytesIO(api.jobs.image(job_id, image.index))) for image in api.jobs.get(job_id).images
    ]
    assert [(picture.format, picture.size) for picture in pictures] == [("PNG", (64, 64))] * 2


def test_a_failed_job_says_why(api: Client, worker: PlayedWorker) -> None:
    job_id = api.submit(REQUEST).id
    worker.fail(job_id, DeadlineExceededError("it took too long"))
    job = api.jobs.wait(job_id)
    assert job.error is not None
    assert (job.error.type, job.error.message) == ("deadline_exceeded", "it took too long")


def test_a_waiting_job_is_canceled_at_once(api: Client) -> None:
    job_id = api.submit(REQUEST).id
    assert api.jobs.cancel(job_id).status is JobStatus.CANCELED
    assert api.jobs.wait(job_id).status is JobStatus.CANCELED


def test_a_wait_ends_when_its_time_is_over(api: Client) -> None:
    job_id = api.submit(REQUEST).id
    with pytest.raises(WaitTimeoutError, match=job_id):
        api.jobs.wait(job_id, timeout_s=0.2)


def test_a_refusal_says_what_is_wrong(api: Client) -> None:
    with pytest.raises(RefusedError, match="'nope' is not in the catalog"):
        api.submit(GenerateRequest(prompt="a red apple", model="nope"))
    with pytest.raises(RefusedError, match="there is no job 'nope'"):
        api.jobs.get("nope")


def test_no_server_is_one_line() -> None:
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    with Client(url) as client, pytest.raises(ServerUnreachableError, match=f"there is no server at {url}"):
        client.submit(REQUEST)


def test_something_that_is_no_lodestar_is_one_line() -> None:
    app = FastAPI()
    app.get("/v1/jobs/1")(lambda: "hello")
    app.get("/v1/jobs/2", status_code=418)(lambda: PlainTextResponse("tea", status_code=418))
    with serving(app) as url, Client(url) as client:
        with pytest.raises(RefusedError, match="/v1/jobs/1 does not answer as a lodestar server does"):
            client.jobs.get("1")
        with pytest.raises(RefusedError, match="/v1/jobs/2 answers 418"):
            client.jobs.get("2")


def test_a_wait_gives_up_on_a_server_that_stays_away(settings: ApiSettings) -> None:
    with serving(create_app(settings)) as url:
        client = Client(url)
        job_id = client.submit(REQUEST).id
    with client, pytest.raises(ServerUnreachableError):
        client.jobs.wait(job_id, patience_s=0.3)


def test_a_server_without_its_redis_is_waited_for(settings: ApiSettings) -> None:
    alone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port('127.0.0.1')}/0"})
    with (
        serving(create_app(alone)) as url,
        Client(url, retries=0) as client,
        pytest.raises(ServerUnavailableError),
    ):
        client.jobs.wait("1", patience_s=0.0)


def test_a_quote_and_the_usage_are_told_before_and_after(api: Client) -> None:
    cost = api.quote("a red apple", steps=10)["cost"]
    assert api.usage()["data"][0]["units"] == 0
    api.submit("a red apple", steps=10)
    assert api.usage()["data"][0]["units"] == cost
    assert api.usage("2025-01")["month"] == "2025-01"
