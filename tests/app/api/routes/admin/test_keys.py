"""Keys over HTTP."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.callers.scopes import SCOPES_OF, Role, Scope
from jobs.callers.secret import draw_key
from tests.app.conftest import LocalClient, MakeKey
from tests.jobs.callers.test_key_file import entry

KEYS = "/v1/admin/keys"


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_a_new_key_is_shown_once_and_works(operator: TestClient) -> None:
    made = operator.post(KEYS, json={"name": "wall", "tenant": "studio", "role": "viewer"})
    assert made.status_code == 201
    shown = made.json()
    assert shown["key"].startswith(f"lsk_{shown['id']}_")
    assert set(shown["scopes"]) == SCOPES_OF[Role.VIEWER]
    assert operator.get("/v1/jobs", headers=bearer(shown["key"])).status_code == 200
    listed = operator.get(KEYS).text
    assert shown["id"] in listed
    assert shown["key"].split("_")[2] not in listed
    assert "sha256" not in listed


def test_a_key_is_a_client_s_unless_said_otherwise(operator: TestClient) -> None:
    scopes = operator.post(KEYS, json={"name": "a"}).json()["scopes"]
    assert set(scopes) == SCOPES_OF[Role.CLIENT]


def test_a_key_ends_when_it_is_said_to(operator: TestClient) -> None:
    made = operator.post(KEYS, json={"name": "a", "expires_in_s": 3600}).json()
    assert made["expires_at"] > made["created_at"]


def test_a_rotation_makes_a_second_key(operator: TestClient) -> None:
    first = operator.post(KEYS, json={"name": "a", "tenant": "studio"}).json()
    second = operator.post(f"{KEYS}/{first['id']}/rotate").json()
    assert (second["name"], second["tenant"]) == ("a", "studio")
    for shown in (first, second):
        assert operator.get("/v1/jobs", headers=bearer(shown["key"])).status_code == 200
    third = operator.post(f"{KEYS}/{second['id']}/rotate", json={"overlap_s": 0}).json()
    assert operator.get("/v1/jobs", headers=bearer(second["key"])).status_code == 401
    assert operator.get("/v1/jobs", headers=bearer(third["key"])).status_code == 200


def test_a_revoked_key_counts_no_more(operator: TestClient) -> None:
    made = operator.post(KEYS, json={"name": "a"}).json()
    assert operator.get("/v1/jobs", headers=bearer(made["key"])).status_code == 200
    assert operator.delete(f"{KEYS}/{made['id']}").status_code == 204
    assert operator.get("/v1/jobs", headers=bearer(made["key"])).status_code == 401
    assert operator.delete(f"{KEYS}/{made['id']}").status_code == 404


@pytest.mark.parametrize("key_id", ["0", "a" * 10, "a" * 500, "é"])
def test_an_unknown_key_is_not_found(operator: TestClient, key_id: str) -> None:
    for answer in (operator.delete(f"{KEYS}/{key_id}"), operator.post(f"{KEYS}/{key_id}/rotate")):
        assert answer.status_code == 404
        assert answer.json()["type"] == "/errors/unknown_key"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a", "tenant": "A b"}, "tenant"),
        ({"name": "a", "role": "king"}, "role"),
        ({"name": "a", "scopes": ["jobs"]}, "scopes.0"),
        ({"name": "a", "scopes": ["metrics"] * 33}, "scopes"),
        ({"name": "a", "role": "client", "scopes": ["metrics"]}, ""),
        ({"name": "a", "expires_in_s": 0}, "expires_in_s"),
        ({"name": "a", "colour": "red"}, "colour"),
    ],
)
def test_an_error_names_the_field(operator: TestClient, body: dict[str, Any], field: str) -> None:
    answer = operator.post(KEYS, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_nobody_gives_what_he_lacks(client: TestClient, make_key: MakeKey) -> None:
    keeper = bearer(make_key(Scope.ADMIN_KEYS, Scope.JOBS_READ))
    assert client.post(KEYS, json={"name": "a", "scopes": ["jobs:read"]}, headers=keeper).status_code == 201
    beyond = client.post(KEYS, json={"name": "a", "role": "operator"}, headers=keeper)
    assert beyond.status_code == 403
    boss = make_key(role=Role.OPERATOR)
    assert client.post(f"{KEYS}/{boss.split('_')[1]}/rotate", headers=keeper).status_code == 403


def test_a_key_of_the_file_is_listed_and_changed_in_the_file_alone(
    settings: ApiSettings,
    make_key: MakeKey,
    tmp_path: Path,
) -> None:
    filed = draw_key()
    (tmp_path / "keys.toml").write_text(entry(filed))
    app = create_app(settings.model_copy(update={"keys_file": tmp_path / "keys.toml"}))
    client = LocalClient(app, headers=bearer(make_key(role=Role.OPERATOR)))
    assert client.get(KEYS).json()["data"][0]["id"] == filed.id
    for answer in (client.delete(f"{KEYS}/{filed.id}"), client.post(f"{KEYS}/{filed.id}/rotate")):
        assert answer.status_code == 409
        assert answer.json()["type"] == "/errors/key_in_file"


def test_administration_leaves_a_line_without_the_key(
    operator: TestClient,
    json_logs: Callable[[], list[dict[str, Any]]],
) -> None:
    made = operator.post(KEYS, json={"name": "a", "tenant": "studio"}).json()
    operator.delete(f"{KEYS}/{made['id']}")
    lines = [line for line in json_logs() if line["event"].startswith("key.")]
    assert [(line["event"], line["target"], line["target_tenant"]) for line in lines] == [
        ("key.created", made["id"], "studio"),
        ("key.revoked", made["id"], "studio"),
    ]
    assert all(line["key"] and line["request_id"] for line in lines)
    assert made["key"].split("_")[2] not in str(json_logs())
