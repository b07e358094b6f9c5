"""HEAD is served wherever GET is."""

import httpx
import pytest
from starlette.testclient import TestClient

from tests.app.played_worker import PlayedWorker
from tests.app.routing import every_route

OF_ONE_ANSWER = {"x-request-id", "date", "transfer-encoding"}


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/metrics", "/v1/jobs", "/docs", "/openapi.json", "/nope"]
)
def test_it_says_what_get_says_without_the_body(live: httpx.Client, path: str) -> None:
    get, head = live.get(path), live.head(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    ignored = OF_ONE_ANSWER | ({"content-length"} if path in {"/metrics", "/readyz"} else set())
    for name in get.headers.keys() - ignored:
        if name != "content-length" or "content-encoding" not in get.headers:
            assert head.headers[name] == get.headers[name], name


def test_a_job_and_its_picture(live: httpx.Client, worker: PlayedWorker) -> None:
    job = live.post("/v1/jobs", json={"prompt": "a"}).json()
    worker.succeed(job["id"])
    picture = live.head(f"{job['urls']['self']}/images/0")
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")
    assert int(picture.headers["Content-Length"]) > 0
    assert live.head(job["urls"]["self"]).status_code == 200


def test_a_stream_without_end_is_ended_and_the_connection_kept(live: httpx.Client) -> None:
    job = live.post("/v1/jobs", json={"prompt": "a"}).json()
    for path in ("/v1/events", job["urls"]["events"]):
        answer = live.head(path, timeout=10)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert "lodestar_event_streams 0.0" in live.get("/metrics").text


def test_no_route_that_answers_get_refuses_it(client: TestClient) -> None:
    for method, path in every_route():
        if method == "GET":
            assert client.head(path).status_code != 405, path


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/workers", "GET, HEAD"),
        ("/v1/jobs", "GET, HEAD, POST"),
        ("/v1/jobs/1", "GET, HEAD, DELETE"),
        ("/v1/jobs/1/cancel", "POST"),
        ("/sdapi/v1/options", "GET, HEAD, POST"),
        ("/docs", "GET, HEAD"),
    ],
)
def test_a_405_names_every_method_of_the_path(client: TestClient, path: str, methods: str) -> None:
    answer = client.patch(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, methods)


def test_head_where_only_post_is_stays_refused(client: TestClient) -> None:
    assert client.head("/v1/jobs/1/cancel").status_code == 405
