"""Logins of browsers, by a cookie."""

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.callers.keys import KeyStore
from jobs.callers.secret import draw_key
from tests.app.conftest import LocalClient, MakeKey

OWN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def page(client: TestClient, key: str) -> TestClient:
    """A page that is logged in."""
    assert client.post("/login", json={"key": key}, headers=OWN).status_code == 204
    return client


def test_the_cookie_of_a_session_stands_for_the_key(page: TestClient) -> None:
    assert page.get("/v1/jobs", headers=OWN).status_code == 200
    assert page.get("/v1/whoami", headers=OWN).json()["via"] == "session"
    assert page.post("/v1/jobs", json={"prompt": "a"}, headers=OWN).status_code == 202
    assert page.get("/v1/workers", headers=OWN).status_code == 403


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client: TestClient, key: str) -> None:
    cookie = client.post("/login", json={"key": key}, headers=OWN).headers["set-cookie"]
    name, *marks = cookie.split("; ")
    assert name.startswith("lodestar=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(marks)
    assert "Secure" not in marks
    assert key.split("_")[2] not in cookie


def test_over_https_the_cookie_is_the_host_s_own(settings: ApiSettings, key: str) -> None:
    client = LocalClient(create_app(settings))
    headers = {**OWN, "X-Forwarded-Proto": "https"}
    cookie = client.post("/login", json={"key": key}, headers=headers).headers["set-cookie"]
    assert cookie.startswith("__Host-lodestar=")
    assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    token = cookie.split("=", 1)[1].split(";")[0]
    own = {**headers, "Cookie": f"__Host-lodestar={token}"}
    assert LocalClient(create_app(settings)).get("/v1/jobs", headers=own).status_code == 200
    # Whoever can set a plain cookie, such as a neighbour under the same domain, gains nothing.
    plain = {**headers, "Cookie": f"lodestar={token}"}
    assert LocalClient(create_app(settings)).get("/v1/jobs", headers=plain).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_site_s_page_cannot_act_as_who_is_logged_in(
    page: TestClient, headers: dict[str, str]
) -> None:
    for method, path in (("POST", "/v1/jobs"), ("DELETE", "/v1/jobs/0"), ("POST", "/v1/jobs/0/cancel")):
        answer = page.request(
            method, path, headers=headers, json={"prompt": "a"} if path == "/v1/jobs" else None
        )
        assert answer.status_code in {401, 403}, (method, path, answer.text)


def test_nor_can_a_site_that_may_call_otherwise(settings: ApiSettings, key: str) -> None:
    friend = "https://app.example.com"
    client = LocalClient(create_app(settings.model_copy(update={"cors_origins": (friend,)})))
    client.post("/login", json={"key": key}, headers=OWN)
    foreign = {"Origin": friend, "Sec-Fetch-Site": "same-site"}
    assert client.get("/v1/jobs", headers=foreign).status_code == 401
    assert client.post("/v1/jobs", json={"prompt": "a"}, headers=foreign).status_code == 401
    with_key = {**foreign, "Authorization": f"Bearer {key}"}
    assert client.post("/v1/jobs", json={"prompt": "a"}, headers=with_key).status_code == 202


def test_an_address_that_is_typed_in_may_show_a_picture_but_change_nothing(page: TestClient) -> None:
    assert page.get("/v1/jobs", headers={"Sec-Fetch-Site": "none"}).status_code == 200


def test_an_old_browser_is_known_by_its_origin(page: TestClient) -> None:
    headers = {"Origin": "http://localhost"}
    assert page.post("/v1/jobs", json={"prompt": "a"}, headers=headers).status_code == 202


def test_a_session_ends_at_the_log_out(page: TestClient) -> None:
    token = page.cookies["lodestar"]
    gone = page.post("/logout", headers=OWN)
    assert gone.status_code == 204
    assert 'lodestar=""' in gone.headers["set-cookie"]
    assert page.get("/v1/jobs", headers={**OWN, "Cookie": f"lodestar={token}"}).status_code == 401


def test_no_other_site_can_log_a_browser_out(page: TestClient) -> None:
    assert page.post("/logout", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert page.get("/v1/jobs", headers=OWN).status_code == 200


def test_a_session_ends_with_its_key(page: TestClient, redis: Redis, key: str, settings: ApiSettings) -> None:
    KeyStore(redis).revoke(key.split("_")[1])
    fresh = LocalClient(create_app(settings), cookies={"lodestar": page.cookies["lodestar"]})
    assert fresh.get("/v1/jobs", headers=OWN).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"key": str(draw_key())}, 401),
        ({"key": "lsk_"}, 401),
        ({"key": "x" * 201}, 422),
        ({}, 422),
        ({"key": 5}, 422),
    ],
)
def test_only_a_key_logs_in(client: TestClient, body: dict[str, Any], status: int) -> None:
    answer = client.post("/login", json=body, headers=OWN)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers


def test_a_key_with_blanks_around_it_is_the_key(client: TestClient, key: str) -> None:
    assert client.post("/login", json={"key": f" {key}\n"}, headers=OWN).status_code == 204


def test_the_key_of_the_header_wins_over_the_session(page: TestClient, make_key: MakeKey) -> None:
    other = make_key(tenant="studio")
    seen = page.get("/v1/whoami", headers={**OWN, "Authorization": f"Bearer {other}"}).json()
    assert (seen["tenant"], seen["via"]) == ("studio", "key")


def test_behind_a_prefix_the_session_holds(settings: ApiSettings, key: str) -> None:
    client = LocalClient(create_app(settings.model_copy(update={"root_path": "/sd"})))
    assert client.post("/sd/login", json={"key": key}, headers=OWN).status_code == 204
    assert client.get("/sd/v1/jobs", headers=OWN).status_code == 200


@pytest.fixture
def anonymous(settings: ApiSettings) -> Iterator[TestClient]:
    """A client without anything."""
    with LocalClient(create_app(settings)) as client:
        yield client


def test_the_pages_load_without_a_key(anonymous: TestClient) -> None:
    for path in (
        "/",
        "/login",
        "/dashboard/login.js",
        "/dashboard/style.css",
        "/docs",
        "/openapi.json",
        "/healthz",
    ):
        assert anonymous.get(path).status_code == 200, path
    assert "form-action 'none'" in anonymous.get("/login").headers["content-security-policy"]
