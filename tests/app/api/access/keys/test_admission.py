"""Who is let in, and how the others are answered."""

import base64
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.callers.keys import KeyStore
from jobs.callers.scopes import Role, Scope
from jobs.callers.secret import draw_key
from jobs.callers.wrong_keys import MOST_WRONG
from tests.app.conftest import LocalClient, MakeKey


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def of_the_server(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those of the test's own client, which logs what it asks for."""
    return [line for line in lines if not line["event"].startswith("HTTP Request")]


FORMS: dict[str, Callable[[str], dict[str, str]]] = {
    "bearer": lambda key: {"Authorization": f"Bearer {key}"},
    "in any case": lambda key: {"authorization": f"bearer {key}"},
    "token": lambda key: {"Authorization": f"Token {key}"},
    "key": lambda key: {"Authorization": f"Key {key}"},
    "header": lambda key: {"X-API-Key": key},
    "basic": lambda key: {"Authorization": basic("anyone", key)},
    "basic of nobody": lambda key: {"Authorization": basic("", key)},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_key_is_taken_in_every_form_that_clients_send(client: TestClient, key: str, form: str) -> None:
    assert client.get("/v1/jobs", headers=FORMS[form](key)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer sk-1234"},
        {"Authorization": f"Bearer {draw_key()}"},
        {"Authorization": f"Digest {draw_key()}"},
        {"Authorization": "Basic !!!"},
        {"Authorization": basic("lsk", "lsk")},
        {"X-API-Key": ""},
        {"X-API-Key": str(draw_key())[:-1]},
        {"Authorization": "Bearer " + "x" * 10_000},
        {"Cookie": "lodestar=anything; __Host-lodestar=anything"},
        {"X-Forwarded-User": "alice"},
    ],
)
def test_nothing_else_lets_in(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.get("/v1/jobs", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["type"] == "/errors/unauthenticated"
    assert answer.headers["www-authenticate"] == 'Bearer realm="lodestar"'


def test_a_mistyped_key_is_told_apart_from_an_unknown_one(client: TestClient, key: str) -> None:
    def detail(text: str) -> str:
        answer = client.get("/v1/jobs", headers=FORMS["bearer"](text))
        return str(answer.json()["detail"])

    assert "checksum" in detail(key[:-1] + ("a" if key[-1] != "a" else "b"))
    assert "unknown" in detail(str(draw_key()))


def test_no_body_is_read_of_a_stranger(client: TestClient) -> None:
    assert client.post("/v1/jobs", content=b"{no json").status_code == 401
    assert client.post("/v1/jobs", content=b"x" * 900_000).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "shape"),
    [
        ("/v1/jobs", {"prompt": "a"}, {"type", "title", "status", "detail", "request_id"}),
        ("/v1/images/generations", {"prompt": "a"}, {"error"}),
        (
            "/v1/predictions",
            {"version": "pocket", "input": {"prompt": "a"}},
            {"type", "title", "status", "detail"},
        ),
        ("/sdapi/v1/txt2img", {"prompt": "a"}, {"error", "detail", "body", "errors"}),
    ],
)
def test_each_dialect_s_clients_get_the_error_in_their_form(
    client: TestClient, make_key: MakeKey, path: str, body: dict[str, Any], shape: set[str]
) -> None:
    refused = client.post(path, json=body)
    assert refused.status_code == 401
    assert shape <= refused.json().keys()
    assert refused.headers["www-authenticate"].startswith("Basic" if path.startswith("/sdapi") else "Bearer")
    reader = make_key(Scope.JOBS_READ)
    forbidden = client.post(path, json=body, headers=FORMS["bearer"](reader))
    assert forbidden.status_code == 403
    assert "jobs:write" in str(forbidden.json())
    assert "www-authenticate" not in forbidden.headers


def test_openai_s_clients_know_the_code_of_a_wrong_key(client: TestClient) -> None:
    error = client.post("/v1/images/generations", json={"prompt": "a"}).json()["error"]
    assert error["code"] == "invalid_api_key"


@pytest.mark.parametrize("path", ["/v1/jobs", "/healthz", "/", "/sdapi/v1/progress", "/v1/events"])
def test_a_key_in_the_address_is_refused_and_logged_nowhere(
    client: TestClient, key: str, path: str, json_logs: Callable[[], list[dict[str, Any]]]
) -> None:
    for name in ("key", "api_key", "last_event_id"):
        answer = client.get(f"{path}?{name}={key}", headers=FORMS["bearer"](key))
        assert answer.status_code == 400
        assert "key_in_query" in answer.text
        assert key not in answer.text
    lines = of_the_server(json_logs())
    assert len(lines) >= 3
    assert key.split("_")[2] not in str(lines)


def test_a_key_in_a_header_is_logged_nowhere(
    client: TestClient, key: str, json_logs: Callable[[], list[dict[str, Any]]]
) -> None:
    for form in FORMS.values():
        client.post("/v1/jobs", json={"prompt": "a"}, headers=form(key))
        client.post("/v1/jobs", json={"prompt": "a"}, headers=form(key[:-1] + "_"))
    lines = of_the_server(json_logs())
    assert len(lines) >= 2 * len(FORMS)
    assert key.split("_")[2] not in str(lines)


def test_a_log_line_names_the_tenant_and_the_id_of_the_key(
    client: TestClient, make_key: MakeKey, json_logs: Callable[[], list[dict[str, Any]]]
) -> None:
    key = make_key(tenant="studio")
    client.post("/v1/jobs", json={"prompt": "a"}, headers=FORMS["bearer"](key))
    (line,) = of_the_server(json_logs())
    assert (line["tenant"], line["key"]) == ("studio", key.split("_")[1])


def test_an_expired_key_does_not_count(client: TestClient, make_key: MakeKey) -> None:
    short = make_key(expires_in=timedelta(seconds=1))
    time.sleep(1.1)
    assert client.get("/v1/jobs", headers=FORMS["bearer"](short)).status_code == 401


def test_a_revocation_counts_at_once_in_every_process(
    client: TestClient, redis: Redis, key: str, settings: ApiSettings
) -> None:
    headers = FORMS["bearer"](key)
    with LocalClient(create_app(settings), headers=headers) as other:
        assert client.get("/v1/jobs", headers=headers).status_code == 200
        assert other.get("/v1/jobs").status_code == 200
        KeyStore(redis).revoke(key.split("_")[1])
        patience_ends = time.monotonic() + 5  # far less than the cache keeps it
        while time.monotonic() < patience_ends:
            answers = {client.get("/v1/jobs", headers=headers).status_code, other.get("/v1/jobs").status_code}
            if answers == {401}:
                return
            time.sleep(0.05)
    raise AssertionError(f"answers after five seconds: {answers}")


def test_without_redis_a_key_is_neither_good_nor_bad(without_redis: ApiSettings, key: str) -> None:
    client = LocalClient(create_app(without_redis))
    assert client.get("/v1/models", headers=FORMS["bearer"](key)).status_code == 503


def test_whoever_may_know_sees_who_it_is(client: TestClient, make_key: MakeKey) -> None:
    key = make_key(Scope.JOBS_READ, tenant="studio", name="wall")
    seen = client.get("/v1/whoami", headers=FORMS["bearer"](key)).json()
    assert seen == {"tenant": "studio", "name": "wall", "scopes": ["jobs:read"], "via": "key"}


def test_where_no_key_is_asked_for_everyone_may_do_everything(settings: ApiSettings) -> None:
    client = LocalClient(create_app(settings.model_copy(update={"auth": "none"})))
    seen = client.get("/v1/whoami", headers={"Authorization": "Bearer sk-anything"}).json()
    assert (seen["via"], set(seen["scopes"])) == ("open", set(Scope))


class TestBehindAProxyThatLogsIn:
    """``LODESTAR_AUTH=proxy``: users of a trusted proxy, by their groups."""

    @pytest.fixture
    def settings(self, settings: ApiSettings, tmp_path: Any) -> ApiSettings:
        file = tmp_path / "keys.toml"
        file.write_text(
            '[[groups]]\nname = "admins"\nrole = "operator"\n'
            '[[groups]]\nname = "artists"\nrole = "client"\ntenant = "studio"\n'
        )
        return settings.model_copy(update={"auth": "proxy", "keys_file": file})

    @pytest.mark.parametrize(
        ("groups", "tenant", "role"),
        [
            ("artists", "studio", Role.CLIENT),
            ("x, admins", "default", Role.OPERATOR),
            ("", "default", Role.CLIENT),
        ],
    )
    def test_a_user_is_what_its_group_is(
        self, client: TestClient, groups: str, tenant: str, role: Role
    ) -> None:
        headers = {"X-Forwarded-User": "alice", "X-Forwarded-Groups": groups}
        seen = client.get("/v1/whoami", headers=headers).json()
        assert (seen["name"], seen["tenant"], seen["via"]) == ("alice", tenant, "proxy")
        assert ("admin:keys" in seen["scopes"]) is (role is Role.OPERATOR)

    def test_a_request_of_no_user_is_refused(self, client: TestClient) -> None:
        assert client.get("/v1/whoami").status_code == 401
        assert client.get("/v1/whoami", headers={"X-Forwarded-Groups": "admins"}).status_code == 401

    def test_a_stranger_s_claim_is_not_believed(self, settings: ApiSettings) -> None:
        headers = {"X-Forwarded-User": "alice", "X-Forwarded-Groups": "admins"}
        app = create_app(settings.model_copy(update={"forwarded_allow_ips": "10.0.0.0/8"}))
        assert LocalClient(app, headers=headers).get("/v1/whoami").status_code == 401

    def test_a_machine_may_bring_a_key(self, client: TestClient, key: str) -> None:
        assert client.get("/v1/whoami", headers=FORMS["bearer"](key)).json()["via"] == "key"

    def test_credentials_of_the_proxy_s_own_are_no_key(self, client: TestClient) -> None:
        headers = {"X-Forwarded-User": "alice", "Authorization": basic("alice", "her password")}
        assert client.get("/v1/whoami", headers=headers).json()["name"] == "alice"


class TestWrongKeys:
    """An address that tries many keys, and its neighbours."""

    @staticmethod
    def at(settings: ApiSettings, address: str, **headers: str) -> TestClient:
        return LocalClient(create_app(settings), client=(address, 50000), headers=headers)

    @staticmethod
    def spray(client: TestClient, number: int = MOST_WRONG) -> None:
        for _ in range(number):
            assert client.get("/v1/jobs", headers=FORMS["bearer"](str(draw_key()))).status_code == 401

    def test_an_address_that_tries_many_is_refused_and_nothing_is_looked_up(
        self, settings: ApiSettings, key: str, json_logs: Callable[[], list[dict[str, Any]]]
    ) -> None:
        client = self.at(settings, "203.0.113.7")
        self.spray(client)
        for path in ("/v1/jobs", "/sdapi/v1/options", "/v1/images/generations"):
            method = "POST" if "images" in path else "GET"
            refused = client.request(method, path, headers=FORMS["bearer"](str(draw_key())))
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert "many wrong keys" in refused.text
        assert (
            client.post("/login", json={"key": key}, headers={"Sec-Fetch-Site": "same-origin"}).status_code
            == 429
        )
        said = [line for line in json_logs() if line["event"] == "many wrong keys"]
        assert [line["address"] for line in said] == ["203.0.113.7"]

    def test_a_key_that_has_counted_before_still_does(self, settings: ApiSettings, key: str) -> None:
        client = self.at(settings, "203.0.113.7")
        assert client.get("/v1/jobs", headers=FORMS["bearer"](key)).status_code == 200
        self.spray(client)
        client.app.state.services.keys.forget_all()  # type: ignore[attr-defined]
        assert client.get("/v1/jobs", headers=FORMS["bearer"](key)).status_code == 200

    def test_clients_behind_a_trusted_proxy_are_told_apart(self, settings: ApiSettings, key: str) -> None:
        client = self.at(settings, "127.0.0.1")
        attacker, neighbour = ({"X-Forwarded-For": f"203.0.113.{number}"} for number in (7, 8))
        for _ in range(MOST_WRONG):
            client.get("/v1/jobs", headers=FORMS["bearer"](str(draw_key())) | attacker)
        assert client.get("/v1/jobs", headers=FORMS["bearer"](str(draw_key())) | attacker).status_code == 429
        assert client.get("/v1/jobs", headers=FORMS["bearer"](key) | neighbour).status_code == 200

    def test_a_trusted_proxy_that_names_nobody_locks_nobody_out(
        self, settings: ApiSettings, key: str
    ) -> None:
        client = self.at(settings, "127.0.0.1")
        self.spray(client, MOST_WRONG + 1)
        assert client.get("/v1/jobs", headers=FORMS["bearer"](key)).status_code == 200

    def test_a_stranger_does_not_choose_his_address(self, settings: ApiSettings) -> None:
        client = self.at(settings, "203.0.113.7")
        for number in range(MOST_WRONG):
            headers = FORMS["bearer"](str(draw_key())) | {"X-Forwarded-For": f"198.51.100.{number}"}
            client.get("/v1/jobs", headers=headers)
        assert client.get("/v1/jobs", headers=FORMS["bearer"](str(draw_key()))).status_code == 429
