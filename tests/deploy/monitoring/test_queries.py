"""Dashboards and alerts: every query is sound and asks for metrics that the processes export."""

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.queue.reaper import Reaper
from jobs.queue.workers import WorkerRegistry
from jobs.status.workers import WorkerInfo
from tests.app.conftest import LocalClient
from tests.app.played_worker import PlayedWorker
from tests.deploy.dockerfile import ROOT
from tests.deploy.helm.chart import NAMES, of_kind
from tests.deploy.monitoring.queries import (
    DASHBOARDS,
    RULES,
    alerts,
    dashboard,
    filled,
    labels_of,
    metrics_of,
    panel_queries,
    rules,
)
from worker.telemetry.metrics import WorkerMetrics

RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()
# What Prometheus adds to every series.
ADDED = {"instance", "namespace", "job", "le"}

QUERIES = [query for file in DASHBOARDS for query in map(filled, panel_queries(file))]
QUERIES += [rule["expr"] for rule in rules()]
QUERIES += [
    trigger["metadata"]["query"]
    for name in NAMES
    for scaled in of_kind(name, "ScaledObject")
    for trigger in scaled["spec"]["triggers"]
    if trigger["type"] == "prometheus"
]

Exported = dict[str, set[str]]


def worker_info() -> WorkerInfo:
    now = datetime.now(UTC)
    return WorkerInfo(
        name="gpu-1.42",
        host="gpu-1",
        pid=42,
        device="cuda:0",
        dtype="fp16",
        attention="sdpa",
        threads=4,
        models=("pocket",),
        jobs=(),
        speed=5.0,
        memory_used_bytes=1,
        memory_total_bytes=2,
        started_at=now,
        heartbeat_at=now,
    )


def of_worker() -> str:
    """What a worker exports once it has done a little of everything."""
    metrics = WorkerMetrics()
    metrics.watch(worker_info, lambda: 1.5)
    metrics.note_batch("denoise", 4)
    metrics.note_load("model", 2.0)
    with metrics.timing_file("put"), metrics.timing_command("claim"):
        pass
    return metrics.exposition().decode()


def of_api(client: TestClient, redis: Redis, worker: PlayedWorker) -> str:
    """What an API exports once a job has gone through."""
    WorkerRegistry(redis).announce(worker_info())
    Reaper(redis).sweep()
    done = client.post("/v1/jobs", json={"prompt": "an apple"}).json()["id"]
    worker.succeed(done)
    client.post("/v1/jobs", json={"prompt": "an apple"})
    client.get("/v1/jobs/nothing")
    client.app.state.services.metrics.webhook_attempts.labels("delivered").inc()  # type: ignore[attr-defined]
    return client.get("/metrics").text


@pytest.fixture
def exported(redis: Redis, redis_url: str, models_file: Path, tmp_path: Path) -> Exported:
    """The labels of every series that API and workers export, by its name."""
    settings = ApiSettings(redis_url=redis_url, models_file=models_file, artifacts_url=str(tmp_path / "a"))
    with LocalClient(create_app(settings)) as client:
        text = of_api(client, redis, PlayedWorker(redis, settings.artifacts_url))
    found: Exported = {}
    for exposition in (text, of_worker()):
        for family in text_string_to_metric_families(exposition):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_promql(query: str) -> None:
    assert metrics_of(query)


def test_every_metric_and_label_of_a_query_is_exported(exported: Exported) -> None:
    recorded: Exported = {rule["record"]: set() for rule in rules() if "record" in rule}
    known = {**exported, **recorded}
    asked = {name for query in QUERIES for name in metrics_of(query)}
    assert asked - known.keys() == set()
    assert len(asked) > 35
    for query in QUERIES:
        for name, labels in labels_of(query).items():
            assert labels <= known[name] | ADDED, (query, name)


def test_what_is_exported_is_documented(exported: Exported) -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    ours = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in exported
        if "lodestar_" in name and not name.endswith("_created")
    }
    assert {name for name in ours if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_is_whole(file: Path) -> None:
    board = dashboard(file)
    defined = {each["name"] for each in board["templating"]["list"]} | {"__rate_interval"}
    used = set(re.findall(r"\$\{?(\w+)", file.read_text())) - {"__all"}
    assert used <= defined
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["title"]
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_numbers_that_every_api_exports_are_not_added_up() -> None:
    shared = {"lodestar_jobs", "lodestar_waiting_work", "lodestar_workers", "lodestar_pool_work_seconds"}
    for query in QUERIES:
        if metrics_of(query) & shared:
            assert not re.search(r"sum( by \([^)]*\))? ?\(lodestar_", query), query


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_leads_to_its_runbook(alert: dict[str, dict[str, str]]) -> None:
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert page == "docs/runbooks.md"
    headings = [line.removeprefix("## ") for line in RUNBOOKS.splitlines() if line.startswith("## ")]
    by_anchor = {heading.lower().replace(" ", "-"): heading for heading in headings}
    section = RUNBOOKS.partition(f"## {by_anchor[anchor]}\n")[2].partition("\n## ")[0]
    assert f"`{alert['alert']}`" in section
    assert alert["labels"]["severity"] in ("page", "ticket")


def test_every_runbook_is_of_an_alert() -> None:
    named = set(re.findall(r"`(Lodestar\w+)`", RUNBOOKS))
    assert named == {alert["alert"] for alert in alerts()}


def test_alerts_fire_when_they_should_and_only_then() -> None:
    """Needs promtool, of Debian's package prometheus: without it, this is skipped, and fails in CI."""
    promtool = shutil.which("promtool")
    if promtool is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs promtool")
    assert promtool is not None
    for arguments in (["check", "rules", RULES.name], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run(
            [promtool, *arguments], cwd=RULES.parent, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:

    cases = yaml.safe_load((RULES.parent / "rules_test.yml").read_text())["tests"]
    told = {
        (case["alertname"], bool(case["exp_alerts"])) for each in cases for case in each["alert_rule_test"]
    }
    assert told == {(alert["alert"], fires) for alert in alerts() for fires in (True, False)}
