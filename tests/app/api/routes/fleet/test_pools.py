"""The pools, as an autoscaler reads them, and the metrics that tell the same."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.errors import ConfigurationError
from jobs.queue.workers import WorkerRegistry
from jobs.status.pools import parse_pools
from tests.app.conftest import LocalClient
from tests.app.played_worker import PlayedWorker
from tests.jobs.queue.test_workers import worker as announced


@pytest.fixture
def fleet(settings: ApiSettings) -> Iterator[TestClient]:
    """A client of an API with two pools."""
    planned = settings.model_copy(update={"pools": parse_pools("cpu=pocket;l4=big")})
    with LocalClient(create_app(planned)) as client:
        yield client


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    """The samples of the service, by their names and labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_work_of_a_pool_is_the_same_by_route_and_by_metric(fleet: TestClient, redis: Redis) -> None:
    WorkerRegistry(redis).announce(announced("a").model_copy(update={"pool": "cpu", "load": 25.0}))
    fleet.post("/v1/jobs", json={"prompt": "an apple"})
    cpu, l4 = fleet.get("/v1/pools").json()["data"]
    assert fleet.get("/v1/pools/cpu").json() == cpu
    assert (cpu["workers"], cpu["running_work"], cpu["work_s"]) == (1, 25, 1)
    assert cpu["waiting_work"] > 0
    assert (l4["workers"], l4["waiting_work"], l4["work_s"]) == (0, 0, 0)
    told = samples(fleet)
    assert told["lodestar_pool_work_seconds", "cpu"] == cpu["work_s"]
    assert told["lodestar_pool_workers", "l4"] == 0
    assert told["lodestar_model_waiting_work", "pocket"] == cpu["waiting_work"]
    assert told["lodestar_running_work", "cpu"] == 25


def test_a_pool_that_is_not_there_is_unknown(fleet: TestClient) -> None:
    answer = fleet.get("/v1/pools/gone")
    assert (answer.status_code, answer.json()["type"]) == (404, "/errors/unknown_pool")


def test_pools_of_models_that_the_catalog_lacks_do_not_start(settings: ApiSettings) -> None:
    with pytest.raises(ConfigurationError, match="lacks: sdxl"):
        create_app(settings.model_copy(update={"pools": parse_pools("l4=sdxl")}))


def test_the_setting_names_what_is_wrong(models_file: Path) -> None:
    with pytest.raises(ValueError, match="not of the form name=model"):
        ApiSettings(models_file=models_file, pools="l4")  # type: ignore[arg-type]


def test_metrics_tell_the_age_of_the_queue_and_why_requests_were_refused(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    worker.succeed(submit())
    submit()
    client.post("/v1/jobs", json={"prompt": "an apple", "steps": -1})
    client.get("/v1/jobs/nothing")
    told = samples(client)
    assert told["lodestar_executions_lost_total",] == 0
    assert told["lodestar_rejections_total", "invalid_request"] == 1
    assert told["lodestar_rejections_total", "unknown_job"] == 1
    assert 0 < told["lodestar_queue_oldest_age_seconds", "normal"] < 60
    assert told["lodestar_redis_memory_bytes",] > 0
    assert told["lodestar_parked_jobs",] == 0
