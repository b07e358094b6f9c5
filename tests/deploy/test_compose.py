"""The compose file: what survives a crash, who may write where, and what the network sees.

That it follows the Compose specification at all is checked by `make lint`.
"""

import re
from typing import Any

import pytest
import yaml

from app.api.settings import ApiSettings
from tests.deploy.dockerfile import ROOT, stages
from worker.settings import WorkerSettings

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = ["worker", "worker-cpu"]
SETTINGS: dict[str, type[ApiSettings | WorkerSettings]] = {
    "api": ApiSettings,
    "worker": WorkerSettings,
    "worker-cpu": WorkerSettings,
}

every_service = pytest.mark.parametrize("name", SERVICES)


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


@every_service
def test_a_service_comes_back_after_a_crash_but_not_after_a_stop(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"


@every_service
def test_a_service_has_a_health_check_of_its_own_or_of_its_image(name: str) -> None:
    service = SERVICES[name]
    target = service.get("build", {}).get("target")
    assert "healthcheck" in service or stages()[target].all("HEALTHCHECK")


@every_service
def test_the_log_of_a_service_is_bounded(name: str) -> None:
    logging = SERVICES[name]["logging"]
    assert logging["driver"] == "json-file"
    assert set(logging["options"]) == {"max-size", "max-file"}


@every_service
def test_a_service_may_do_no_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@every_service
def test_what_a_service_mounts_from_the_repository_exists_and_cannot_be_written(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        # "${NAME:-default}" stands for its default.
        source, *rest = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert rest[1:] == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_reads_its_models_from_a_read_only_volume(name: str) -> None:
    assert any(volume.endswith("/srv/lodestar/models:ro") for volume in SERVICES[name]["volumes"])


def test_only_the_api_is_published_and_by_default_to_this_machine_alone() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["api"]
    (port,) = SERVICES["api"]["ports"]
    assert port.startswith("${LODESTAR_BIND:-127.0.0.1}:")


def test_pictures_and_jobs_outlive_their_containers() -> None:
    assert "redis:/data" in SERVICES["redis"]["volumes"]
    for name in SETTINGS:
        assert "artifacts:/data/artifacts" in SERVICES[name]["volumes"]
        assert SERVICES[name]["environment"]["LODESTAR_ARTIFACTS_URL"] == "/data/artifacts"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_service_waits_until_the_queue_answers(name: str) -> None:
    assert SERVICES[name]["depends_on"]["redis"] == {"condition": "service_healthy"}


@pytest.mark.parametrize(("name", "settings"), SETTINGS.items())
def test_a_service_is_given_only_settings_that_exist_and_are_valid(
    name: str, settings: type[ApiSettings | WorkerSettings]
) -> None:
    environment = SERVICES[name]["environment"]
    values: dict[str, Any] = {
        variable.removeprefix("LODESTAR_").lower(): re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value)
        for variable, value in environment.items()
    }
    assert set(values) <= set(settings.model_fields)
    settings(**values)


def test_a_service_is_given_more_time_to_stop_than_it_takes() -> None:
    assert seconds(SERVICES["api"]["stop_grace_period"]) > ApiSettings.model_fields["stop_timeout_s"].default
    for name in WORKERS:
        assert seconds(SERVICES[name]["stop_grace_period"]) > WorkerSettings.model_fields["grace_s"].default


def test_the_gpu_profile_reserves_an_nvidia_gpu() -> None:
    worker = SERVICES["worker"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert worker["profiles"] == ["gpu"]
    assert worker["environment"]["LODESTAR_DEVICE"] == "cuda"
    assert device["driver"] == "nvidia"
    assert device["capabilities"] == ["gpu"]


def test_the_cpu_profile_needs_no_gpu() -> None:
    worker = SERVICES["worker-cpu"]
    assert worker["profiles"] == ["cpu"]
    assert worker["environment"]["LODESTAR_DEVICE"] == "cpu"
    assert "deploy" not in worker
