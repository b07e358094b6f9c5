"""The port of a worker: probes and metrics."""

import socket
from collections.abc import Iterator
from http.client import HTTPConnection

import httpx
import pytest

from jobs.errors import ConfigurationError
from worker.telemetry.metrics import WorkerMetrics
from worker.telemetry.server import StatusServer


class Health:
    """What a worker says of itself."""

    fit = True
    ready = False


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(health: Health) -> Iterator[StatusServer]:
    server = StatusServer(
        "127.0.0.1",
        0,
        exposition=WorkerMetrics().exposition,
        is_fit=lambda: health.fit,
        is_ready=lambda: health.ready,
    )
    server.start()
    yield server
    server.close()


@pytest.fixture
def http(server: StatusServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=5) as client:
        yield client


def test_a_worker_is_ready_once_its_first_model_is_loaded(health: Health, http: httpx.Client) -> None:
    assert [http.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 503]
    assert http.get("/readyz").text == "the first model is not loaded\n"
    health.ready = True
    assert http.get("/readyz?verbose").status_code == 200


def test_a_worker_that_can_compute_no_more_is_to_be_ended(health: Health, http: httpx.Client) -> None:
    health.ready, health.fit = True, False
    assert [http.get(path).status_code for path in ("/healthz", "/readyz")] == [503, 503]


def test_metrics_are_in_the_text_format(http: httpx.Client) -> None:
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE lodestar_batch_rows histogram" in answer.text


@pytest.mark.parametrize("path", ["/", "/metrics/", "/v1/jobs", "/../etc/passwd"])
def test_nothing_else_is_there(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


def test_other_methods_and_nonsense_do_no_harm(server: StatusServer, http: httpx.Client) -> None:
    assert http.post("/metrics", content=b"x" * 100_000).status_code == 501
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"\x00\xff nonsense\r\n\r\n")
        assert connection.recv(100)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n")
        assert connection.recv(100)
    assert http.get("/healthz").status_code == 200


def test_a_silent_client_holds_up_nobody(server: StatusServer, http: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert http.get("/healthz").status_code == 200


def test_a_port_that_is_taken_is_a_wrong_setting(server: StatusServer) -> None:
    with pytest.raises(ConfigurationError, match=f"port {server.port}"):
        StatusServer("127.0.0.1", server.port, exposition=bytes, is_fit=lambda: True, is_ready=lambda: True)


def test_it_listens_on_ipv6_too() -> None:
    server = StatusServer("::1", 0, exposition=bytes, is_fit=lambda: True, is_ready=lambda: True)
    server.start()
    try:
        connection = HTTPConnection("::1", server.port, timeout=5)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        server.close()
