"""The API is served by its own names only, or a page could make its own name lead here."""

import socket

import httpx
import pytest
from starlette.testclient import TestClient

from app.api.access.host_guard import HostGuard
from app.api.main import create_app
from app.api.settings import ApiSettings
from tests.app.conftest import LocalClient, serving
from tests.app.routing import every_route

FOREIGN = "evil.example"


def test_no_route_is_served_by_a_foreign_name(client: TestClient) -> None:
    routes = list(every_route())
    assert len(routes) > 60
    for method, path in routes:
        answer = client.request(method, path, headers={"Host": FOREIGN}, follow_redirects=False)
        assert answer.status_code == 403, f"{method} {path}"
        assert "host_not_allowed" in answer.text, f"{method} {path}"
        assert "LODESTAR_ALLOWED_HOSTS" in answer.text


def test_a_page_whose_name_leads_here_reads_nothing(live: httpx.Client) -> None:
    answer = live.get("/v1/jobs", headers={"Host": f"rebind.test:{live.base_url.port}"})
    assert answer.status_code == 403
    assert answer.json()["type"] == "/errors/host_not_allowed"


def test_it_is_refused_in_the_words_of_the_dialect(client: TestClient) -> None:
    answer = client.post("/v1/images/generations", json={"prompt": "a"}, headers={"Host": FOREIGN})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8000", "LOCALHOST", "localhost.", "app.localhost:1", socket.gethostname()),
        *(f"{socket.gethostname().partition('.')[0]}.local:8000", "host.docker.internal:8000"),
        *("127.0.0.1:8000", "192.168.1.9", "[::1]", "[::1]:8000", "[fe80::1]", ""),
    ],
)
def test_names_of_this_machine_and_addresses_are_fine(host: str, client: TestClient) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
        ),
        *(
            "[evil.example]",
            "evil.example:80@localhost",
            "localhost:80:80",
            "[::1",
            "127.0.0.1:x",
            "a b",
            "*",
            "/",
        ),
    ],
)
def test_other_names_are_not(host: str, client: TestClient) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 403


def test_the_name_that_the_operator_binds_is_fine(settings: ApiSettings) -> None:
    app = create_app(settings.model_copy(update={"host": "images.lan", "auth": "none"}))
    assert LocalClient(app).get("/healthz", headers={"Host": "images.lan:8000"}).status_code == 200


@pytest.mark.parametrize(
    ("allowed", "fine", "refused"),
    [
        (
            ("img.example.com",),
            ["img.example.com", "IMG.example.com:443"],
            ["example.com", "a.img.example.com"],
        ),
        (("*.example.com",), ["a.example.com", "a.b.example.com"], ["example.com", "evilexample.com"]),
        (("*",), ["evil.example", "a b"], []),
    ],
)
def test_the_operator_can_allow_more(allowed: tuple[str, ...], fine: list[str], refused: list[str]) -> None:
    guard = HostGuard(create_app(ApiSettings()), allowed=allowed)
    assert [host for host in (*fine, *refused) if guard.allows(host)] == fine


def test_a_client_of_http_1_0_needs_no_host(settings: ApiSettings) -> None:
    with serving(create_app(settings)) as url:
        address = httpx.URL(url)
        with socket.create_connection((address.host, address.port or 80)) as connection:
            connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_redirect_for_a_slash_names_no_host(client: TestClient) -> None:
    answer = client.get("/v1/jobs/?limit=3", follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (307, "/v1/jobs?limit=3")
    assert client.get("/v1/jobs/?limit=3").status_code == 200
    assert client.get("http://localhost//evil.example/v1/jobs/", follow_redirects=False).status_code == 404
