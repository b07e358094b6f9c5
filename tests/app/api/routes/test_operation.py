"""Workers, the queue's numbers, health and metrics."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.queue.workers import WorkerRegistry
from jobs.status.workers import WorkerInfo
from tests.app.conftest import LocalClient
from tests.app.played_worker import PlayedWorker


@pytest.fixture
def alive(redis: Redis) -> WorkerInfo:
    """A worker that has announced itself."""
    now = datetime.now(UTC)
    info = WorkerInfo(
        name="gpu-1.42",
        host="gpu-1",
        pid=42,
        device="cuda:0",
        dtype="fp16",
        attention="xformers",
        threads=4,
        models=("pocket",),
        jobs=(),
        started_at=now,
        heartbeat_at=now,
    )
    WorkerRegistry(redis).announce(info)
    return info


@pytest.fixture
def away(without_redis: ApiSettings) -> Iterator[TestClient]:
    """A client of an API whose Redis is not there."""
    with LocalClient(create_app(without_redis)) as client:
        yield client


def test_workers_are_listed_with_what_they_do(client: TestClient, alive: WorkerInfo) -> None:
    assert client.get("/v1/workers").json() == {"data": [alive.model_dump(mode="json")], "gone": []}


def test_a_worker_is_drained_and_resumed_and_the_audit_tells_by_whom(
    operator: TestClient, alive: WorkerInfo
) -> None:
    for step, draining in (("drain", True), ("drain", True), ("resume", False)):
        told = operator.post(f"/v1/workers/{alive.name}/{step}").json()
        assert (told["name"], told["draining"], told["room"]) == (alive.name, draining, 0)
        assert operator.get("/v1/queue").json()["draining_workers"] == draining
    entries = operator.get("/v1/audit").json()["data"]
    done = [(entry["action"], entry["target"]) for entry in entries if entry["action"].startswith("worker.")]
    assert done == [(f"worker.{each}", "gpu-1.42") for each in ("resumed", "drained", "drained")]
    unknown = operator.post("/v1/workers/gpu-2/drain")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/errors/unknown_worker")


def test_the_queue_is_counted_by_status(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker, alive: WorkerInfo
) -> None:
    done, running = submit(), submit()
    submit()
    worker.succeed(done)
    worker.claim(running)
    assert client.get("/v1/queue").json() == {
        "jobs": {"queued": 1, "running": 1, "succeeded": 1, "failed": 0, "canceled": 0},
        "workers": 1,
        "late_workers": 0,
        "draining_workers": 0,
        "max_queued": 5,
        "started_by": None,
        "eta_s": None,
    }


def test_a_process_that_answers_is_alive_even_without_redis(away: TestClient) -> None:
    assert (away.get("/healthz").status_code, away.get("/healthz").json()) == (200, {"status": "ok"})


def test_ready_without_a_worker_since_jobs_can_wait(client: TestClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "checks": {"redis": {"ok": True, "detail": None}, "artifacts": {"ok": True, "detail": None}},
        "catalog": {"ok": True, "detail": None},
        "workers": 0,
    }


def test_a_catalog_that_changes_counts_without_a_restart_and_a_wrong_one_is_told(
    client: TestClient, settings: ApiSettings
) -> None:
    text = settings.models_file.read_text()
    settings.models_file.write_text(text.replace("[models.big]", '[models.huge]\naliases = ["acme/app"]'))
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["pocket", "huge"]
    job = client.post("/v1/jobs", json={"prompt": "a red apple", "model": "acme/app"})
    assert (job.status_code, job.json()["request"]["model"]) == (202, "huge")
    settings.models_file.write_text(text.replace("[models.big]", "[models.pocket]"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert not answer.json()["catalog"]["ok"]
    assert "models.toml cannot be read" in answer.json()["catalog"]["detail"]
    assert client.get("/v1/models/huge").status_code == 200
    settings.models_file.write_text(text)
    assert client.get("/readyz").json()["catalog"] == {"ok": True, "detail": None}
    refused = client.post("/v1/jobs", json={"prompt": "a red apple", "model": "huge"})
    assert refused.status_code == 422
    assert "'huge' is not in the catalog; it holds: pocket, big" in refused.text


def test_checking_the_artifact_store_leaves_no_file_behind(client: TestClient, settings: ApiSettings) -> None:
    client.get("/readyz")
    assert [path for path in Path(settings.artifacts_url).rglob("*") if path.is_file()] == []


def test_not_ready_without_redis(away: TestClient) -> None:
    answer = away.get("/readyz")
    assert answer.status_code == 503
    readiness = answer.json()
    assert (readiness["ready"], readiness["workers"]) == (False, None)
    assert readiness["checks"]["redis"] == {"ok": False, "detail": "the job queue (Redis) cannot be reached"}
    assert readiness["checks"]["artifacts"]["ok"]


def test_not_ready_when_redis_refuses_to_write(client: TestClient, redis: Redis) -> None:
    redis.config_set("maxmemory", "1")
    redis.config_set("maxmemory-policy", "noeviction")
    try:
        answer = client.get("/readyz")
    finally:
        redis.config_set("maxmemory", "0")
    assert answer.status_code == 503
    assert answer.json()["checks"]["redis"]["detail"] == "the job queue (Redis) refuses to write"


def test_not_ready_when_pictures_cannot_be_stored(client: TestClient, settings: ApiSettings) -> None:
    # A file where the folder should be: it stops root too, unlike permissions.
    Path(settings.artifacts_url).write_text("in the way")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["redis"]["ok"]
    assert not answer.json()["checks"]["artifacts"]["ok"]
    assert settings.artifacts_url not in answer.text


def _metrics(client: TestClient) -> dict[str, dict[tuple[str, ...], float]]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for sample in (sample for family in families for sample in family.samples):
        samples.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return samples


def test_metrics_count_jobs_by_status_workers_and_requests(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker, alive: WorkerInfo
) -> None:
    job_id = submit()
    submit()
    worker.succeed(job_id)
    client.get(f"/v1/jobs/{job_id}")
    metrics = _metrics(client)
    assert metrics["lodestar_redis_up"][()] == 1
    assert metrics["lodestar_workers"][()] == 1
    assert metrics["lodestar_jobs"][("queued",)] == 1
    assert metrics["lodestar_jobs"][("succeeded",)] == 1
    requests = metrics["lodestar_http_request_duration_seconds_count"]
    assert requests[("GET", "/v1/jobs/{job_id}", "200")] == 1
    assert requests[("POST", "/v1/jobs", "202")] == 2


def test_metrics_have_the_times_of_calls_to_redis_by_script(
    client: TestClient, submit: Callable[..., str]
) -> None:
    submit()
    metrics = _metrics(client)
    assert metrics["lodestar_redis_command_seconds_count"][("submit",)] >= 1
    assert metrics["lodestar_redis_command_seconds_sum"][("submit",)] > 0
    assert metrics["lodestar_redis_failures_total"][()] == 0


def test_no_client_can_make_up_time_series(client: TestClient) -> None:
    client.request("BREW", "/v1/jobs")
    client.get("/a/path/of/mine")
    requests = _metrics(client)["lodestar_http_request_duration_seconds_count"]
    assert {labels[:2] for labels in requests} == {("other", "/v1/jobs"), ("GET", "unmatched")}


def test_metrics_say_that_redis_is_away_and_make_no_number_up(away: TestClient) -> None:
    metrics = _metrics(away)
    assert metrics["lodestar_redis_up"][()] == 0
    assert metrics["lodestar_redis_failures_total"][()] >= 1
    assert "lodestar_jobs" not in metrics
    assert "lodestar_workers" not in metrics


def test_the_turns_of_a_job_are_told_in_their_order(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = submit()
    lease = worker.claim(job_id)
    worker.report(lease, step=1, steps=20)
    worker.leases.release(lease)
    worker.succeed(job_id)
    told = client.get(f"/v1/jobs/{job_id}/timeline").json()
    assert told["is_complete"] is True
    turns = [(turn["type"], turn["reason"] or turn["worker"] or turn["status"]) for turn in told["data"]]
    assert turns == [
        ("queued", "submitted"),
        ("started", "played"),
        ("queued", "released"),
        ("started", "played"),
        ("done", "succeeded"),
    ]
    assert client.get("/v1/jobs/nothing/timeline").status_code == 404


def test_the_last_hour_is_told(client: TestClient, submit: Callable[..., str], worker: PlayedWorker) -> None:
    worker.succeed(submit())
    told = client.get("/v1/queue/history").json()
    assert told["jobs"] == {"succeeded": 1, "failed": 0, "canceled": 0}
    assert told["minutes"][-1]["succeeded"] == 1


def test_jobs_are_counted_by_how_they_ended_and_how_long_they_took(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    worker.succeed(submit(guidance={"preset": "fast"}))
    client.post(f"/v1/jobs/{submit()}/cancel")
    found = {
        (sample.name.removeprefix("lodestar_job"), frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }
    of = {"generate", "pocket", "fast"}
    assert found["s_finished_total", frozenset({*of, "succeeded"})] == 1
    assert found["s_finished_total", frozenset({"generate", "pocket", "", "canceled"})] == 1
    assert found["_duration_seconds_count", frozenset({*of, "succeeded"})] == 1
    assert found["_duration_seconds_bucket", frozenset({*of, "succeeded", "3600"})] == 1
    assert 0 < found["_duration_seconds_sum", frozenset({*of, "succeeded"})] < 60
    assert found["_wait_seconds_count", frozenset(of)] == 1
    assert found["_wait_seconds_bucket", frozenset({*of, "+Inf"})] == 1
