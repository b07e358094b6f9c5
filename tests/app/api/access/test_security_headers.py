"""The security headers of every answer."""

import socket

import httpx
import pytest
from starlette.testclient import TestClient

from app.api.access.security_headers import DEFAULTS
from app.api.main import create_app
from app.api.settings import ApiSettings
from tests.app.conftest import LocalClient
from tests.app.played_worker import PlayedWorker
from tests.app.routing import ENDLESS, every_route


def test_every_answer_carries_them(client: TestClient) -> None:
    for method, path in every_route():
        if path == ENDLESS:
            continue
        answer = client.request(method, path, follow_redirects=False)
        missing = [name for name in DEFAULTS if name not in answer.headers]
        assert missing == [], f"{method} {path}"
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"], path
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path


@pytest.mark.parametrize(
    "request_of",
    [
        {"method": "GET", "url": "/nope<script>", "headers": {"Accept": "text/plain"}},
        {"method": "GET", "url": "/healthz", "headers": {"Host": "evil.example"}},
        {"method": "POST", "url": "/v1/images", "headers": {"Sec-Fetch-Site": "cross-site"}},
        {"method": "PUT", "url": "/v1/jobs"},
        {"method": "HEAD", "url": "/v1/events"},
        {"method": "POST", "url": "/v1/jobs", "content": b"x" * (2 << 20)},
    ],
)
def test_refusals_carry_them_and_are_not_kept(client: TestClient, request_of: dict[str, object]) -> None:
    answer = client.request(**request_of)  # type: ignore[arg-type]
    assert {name: answer.headers[name] for name in DEFAULTS} == DEFAULTS


def test_faults_carry_them(settings: ApiSettings) -> None:
    app = create_app(settings)

    @app.get("/boom")
    def boom() -> None:
        raise RuntimeError

    answer = LocalClient(app).get("/boom")
    assert answer.status_code == 500
    assert {name: answer.headers[name] for name in DEFAULTS} == DEFAULTS


def test_what_is_no_http_is_told_so_with_them(live: httpx.Client) -> None:
    with socket.create_connection((live.base_url.host, live.base_url.port or 80), timeout=30) as connection:
        connection.sendall(b"what is this\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    assert answer.startswith("HTTP/1.1 400 ")
    for name, value in DEFAULTS.items():
        assert f"{name.lower()}: {value}" in answer.replace(name, name.lower())


def test_a_picture_may_be_kept_and_a_job_may_not(client: TestClient, worker: PlayedWorker) -> None:
    job = client.post("/v1/jobs", json={"prompt": "a"}).json()
    worker.succeed(job["id"])
    picture = client.get(client.get(job["urls"]["self"]).json()["images"][0]["url"])
    assert "immutable" in picture.headers["Cache-Control"]
    assert client.get(job["urls"]["self"]).headers["Cache-Control"] == "no-store"
