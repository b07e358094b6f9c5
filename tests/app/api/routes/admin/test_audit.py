"""The audit stream: it tells of administration and of refusals, and holds no secret."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.callers import audit
from jobs.callers.scopes import Role
from jobs.callers.secret import draw_key
from jobs.db import keys
from tests.app.conftest import LocalClient, MakeKey, Run
from tests.app.played_worker import PlayedWorker


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def entries(operator: TestClient, *, failures: bool = False) -> list[dict[str, Any]]:
    """What the stream holds, the oldest first, without what does not apply."""
    answer = operator.get("/v1/audit", params={"failures": failures})
    assert answer.status_code == 200, answer.text
    found = [{name: value for name, value in each.items() if value} for each in answer.json()["data"]]
    return found[::-1]


@pytest.fixture
def alice(settings: ApiSettings, make_key: MakeKey) -> TestClient:
    """A client of a tenant."""
    return LocalClient(create_app(settings), headers=bearer(make_key(tenant="alice", name="a")))


def test_it_tells_who_changed_keys_without_their_secrets(operator: TestClient, redis: Redis) -> None:
    made = operator.post("/v1/admin/keys", json={"name": "a", "tenant": "studio"}).json()
    turned = operator.post(f"/v1/admin/keys/{made['id']}/rotate").json()
    operator.delete(f"/v1/admin/keys/{turned['id']}")
    found = entries(operator)
    told = [(each["action"], each["target"], each["target_tenant"]) for each in found]
    assert told == [
        ("key.created", made["id"], "studio"),
        ("key.rotated", made["id"], "studio"),
        ("key.revoked", turned["id"], "studio"),
    ]
    assert {(each["name"], each["tenant"], each["via"], each["address"]) for each in found} == {
        ("boss", "default", "key", "127.0.0.1")
    }
    kept = json.dumps(redis.xrange(keys.AUDIT))
    for shown in (made, turned):
        assert shown["key"].split("_")[2] not in kept


def test_it_tells_who_set_and_forgot_the_quota_of_a_tenant(operator: TestClient) -> None:
    operator.put("/v1/admin/tenants/studio", json={"quota": {"requests_per_minute": 5}, "weight": 2})
    operator.delete("/v1/admin/tenants/studio")
    first, second = entries(operator)
    assert (first["action"], first["target"]) == ("tenant.set", "studio")
    assert first["detail"].startswith("quota ")
    assert first["detail"].endswith("weight 2")
    assert (second["action"], second["target"]) == ("tenant.forgotten", "studio")


def test_it_tells_of_deletions(operator: TestClient, alice: TestClient) -> None:
    job_id = alice.post("/v1/jobs", json={"prompt": "a red apple"}).json()["id"]
    alice.delete(f"/v1/jobs/{job_id}")
    alice.app.state.services.auditor.flush()  # type: ignore[attr-defined]
    (entry,) = entries(operator)
    assert (entry["action"], entry["target"], entry["tenant"]) == ("job.deleted", job_id, "alice")


def test_it_tells_once_what_an_operator_saw_of_another_tenant(
    operator: TestClient, alice: TestClient, worker: PlayedWorker
) -> None:
    own = operator.post("/v1/jobs", json={"prompt": "a pear"}).json()["id"]
    job_id = alice.post("/v1/jobs", json={"prompt": "a red apple"}).json()["id"]
    worker.succeed(job_id)
    for _ in range(3):
        operator.get(f"/v1/jobs/{own}")
        operator.get(f"/v1/jobs/{job_id}")
        operator.get(f"/v1/jobs/{job_id}/images/0")
        operator.get("/v1/jobs")
    told = [(each["action"], each["target"], each["target_tenant"]) for each in entries(operator)]
    assert told == [("foreign.read", job_id, "alice"), ("foreign.read", "list", "alice")]
    alice.get(f"/v1/jobs/{job_id}")
    assert len(entries(operator)) == 2


def test_it_tells_of_refusals_apart_and_of_each_once_a_minute(
    operator: TestClient, make_key: MakeKey, redis: Redis
) -> None:
    wrong, viewer = draw_key(), make_key(role=Role.VIEWER, name="wall", tenant="studio")
    for _ in range(3):
        assert operator.get("/v1/jobs", headers=bearer(str(wrong))).status_code == 401
        assert operator.post("/v1/jobs", headers=bearer(viewer), json={"prompt": "a"}).status_code == 403
    assert operator.get("/v1/jobs", headers=bearer("hello")).status_code == 401
    assert operator.post("/login", json={"key": str(wrong)}).status_code == 401
    assert operator.get(f"/v1/jobs?key={wrong}").status_code == 400
    stranger = LocalClient(operator.app)  # type: ignore[arg-type]
    assert stranger.get("/v1/jobs").status_code == 401  # it has tried no key
    found = entries(operator, failures=True)
    told = [(each["action"], each.get("key"), each["target"]) for each in found]
    assert told == [
        ("key.refused", wrong.id, "/v1/jobs"),
        ("scope.refused", viewer.split("_")[1], "/v1/jobs"),
        ("key.refused", None, "/v1/jobs"),
        ("key.refused", wrong.id, "/login"),
        ("key.refused", None, "/v1/jobs"),
    ]
    assert (found[1]["name"], found[1]["tenant"]) == ("wall", "studio")
    assert "jobs:write" in found[1]["detail"]
    kept = json.dumps(redis.xrange(keys.AUDIT_FAILURES))
    assert wrong.secret not in kept
    assert "hello" not in kept
    assert entries(operator) == []


def test_it_is_read_page_by_page_and_is_bounded(
    operator: TestClient, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "KEPT", 150)
    log = audit.AuditLog(redis)
    for number in range(400):
        log.add(audit.AuditEntry(action="key.created", target=str(number)))
    assert redis.xlen(keys.AUDIT) < 300  # whole nodes of the stream are dropped
    first = operator.get("/v1/audit?limit=2").json()
    second = operator.get(f"/v1/audit?limit=2&cursor={first['next_cursor']}").json()
    targets = [each["target"] for page in (first, second) for each in page["data"]]
    assert targets == ["399", "398", "397", "396"]
    refused = operator.get("/v1/audit?cursor=zero")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "cursor")


def test_only_operators_read_it(alice: TestClient) -> None:
    assert alice.get("/v1/audit").status_code == 403


def test_the_log_has_each_entry_too_when_redis_is_away(
    without_redis: ApiSettings, json_logs: Callable[[], list[dict[str, Any]]]
) -> None:
    services = create_app(without_redis).state.services
    services.auditor.note(audit.AuditEntry(action="job.deleted", target="a"))
    ends = time.monotonic() + 60
    while len(json_logs()) < 2 and time.monotonic() < ends:
        services.auditor.flush()
    services.auditor.close()
    first, second = json_logs()[-2:]
    assert (first["event"], first["target"]) == ("job.deleted", "a")
    assert "log alone" in second["event"]


def test_the_command_prints_it(
    run: Run, redis: Redis, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("keys", "create", "wall", "--tenant", "studio", "--redis-url", redis_url) == 0
    key = capsys.readouterr().out.strip()
    audit.AuditLog(redis).add(audit.AuditEntry(action="key.refused", key="0" * 10, address="1.2.3.4"))
    assert run("audit", "--redis-url", redis_url) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split("\t")[1:4] == ["key.created", key.split("_")[1], "studio"]
    assert run("audit", "--failures", "--json", "--redis-url", redis_url) == 0
    assert json.loads(capsys.readouterr().out)["data"][0]["address"] == "1.2.3.4"
