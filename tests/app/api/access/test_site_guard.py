"""A page of another site can make the API do nothing, unless the operator allows its origin."""

from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from tests.app.conftest import LocalClient
from tests.app.routing import ENDLESS, every_route

CROSS = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
FORM = {"prompt": "a red apple", "steps": "1"}


def test_a_form_of_another_site_makes_no_job(live: httpx.Client) -> None:
    for headers in (CROSS, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = live.post("/v1/images", data=FORM, headers=headers)
        assert answer.status_code == 403, headers
        assert answer.json()["type"] == "/errors/cross_site"
    assert live.get("/v1/queue").json()["jobs"]["queued"] == 0


def test_no_route_that_does_more_than_read_is_served_to_another_site(client: TestClient) -> None:
    for method, path in every_route():
        if path == ENDLESS:
            continue
        answer = client.request(method, path, headers=CROSS)
        does_more = method != "GET" or path == "/v1/search"
        assert ("cross_site" in answer.text and answer.status_code == 403) is does_more, f"{method} {path}"
    assert client.head("/v1/search?q=apple", headers=CROSS).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "nonsense"},
        {"Sec-Fetch-Site": "none", "Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8000"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost@evil.example"},
        {"Origin": "localhost"},
        {"Origin": ""},
    ],
)
def test_what_does_not_come_from_here_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/v1/jobs", json={"prompt": "a"}, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
        # A proxy has changed Host; what the browser says by itself is enough.
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://images.example.com"},
        {"Origin": "http://localhost"},
        {"Origin": "http://LOCALHOST:80"},
        {"Origin": "https://localhost:8443", "Host": "localhost:8443"},
        {"Origin": "https://localhost", "Host": "localhost:443"},
        {"Origin": "http://[::1]:8000", "Host": "[::1]:8000"},
    ],
)
def test_own_pages_and_clients_that_are_no_browser_are_served(
    client: TestClient, headers: dict[str, str]
) -> None:
    assert client.post("/v1/jobs", json={"prompt": "a"}, headers=headers).status_code == 202


PAGE = "https://app.example.com"


def let_in(settings: ApiSettings, *origins: str) -> LocalClient:
    return LocalClient(create_app(settings.model_copy(update={"cors_origins": origins})))


def preflight(client: TestClient, origin: str, **headers: str) -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return client.options("/v1/jobs", headers={**asked, **headers})


def test_no_other_site_is_let_in_by_default(client: TestClient) -> None:
    assert preflight(client, PAGE).status_code == 405
    answer = client.get("/v1/jobs", headers={"Origin": PAGE})
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_site_that_the_operator_names_may_do_everything_and_read_the_answers(settings: ApiSettings) -> None:
    client = let_in(settings, PAGE)
    asked = preflight(client, PAGE, **{"Access-Control-Request-Headers": "content-type, idempotency-key"})
    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == PAGE
    assert "idempotency-key" in asked.headers["Access-Control-Allow-Headers"]
    assert {"GET", "POST", "DELETE"} <= set(asked.headers["Access-Control-Allow-Methods"].split(", "))
    headers = {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}
    answer = client.post("/v1/jobs", json={"prompt": "a"}, headers=headers)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (202, PAGE)
    shown = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"Location", "Link", "Content-Location", "Retry-After", "X-Request-Id", "ETag"} <= shown


def test_it_can_read_errors_too(settings: ApiSettings) -> None:
    app = create_app(settings.model_copy(update={"cors_origins": (PAGE,)}))

    @app.get("/boom")
    def boom() -> None:
        raise RuntimeError

    client = LocalClient(app)
    for path, status in (("/v1/jobs/none", 404), ("/nope", 404), ("/boom", 500)):
        answer = client.get(path, headers={"Origin": PAGE})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, PAGE)
        assert answer.headers["x-request-id"]


def test_others_are_still_refused(settings: ApiSettings) -> None:
    client = let_in(settings, PAGE)
    assert preflight(client, "https://evil.example").status_code == 400
    assert client.post("/v1/jobs", json={"prompt": "a"}, headers=CROSS).status_code == 403
    answer = client.get("/v1/jobs", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_all_sites_can_be_let_in(settings: ApiSettings) -> None:
    client = let_in(settings, "*")
    assert preflight(client, "https://evil.example").headers["Access-Control-Allow-Origin"] == "*"
    assert client.post("/v1/jobs", json={"prompt": "a"}, headers=CROSS).status_code == 202
