"""The id of every answer, and the log line of every request."""

from collections.abc import Callable

import pytest
import structlog
from starlette.testclient import TestClient


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/jobs", "/v1/jobs/none", "/nope", "/dashboard/app.js"])
def test_every_answer_has_a_request_id_of_its_own(client: TestClient, path: str) -> None:
    first, second = (client.get(path).headers["x-request-id"] for _ in range(2))
    assert first != second


def test_a_callers_own_request_id_is_kept(client: TestClient) -> None:
    assert client.get("/healthz", headers={"x-request-id": "trace-1"}).headers["x-request-id"] == "trace-1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a;b", "<script>"])
def test_a_request_id_that_could_harm_a_log_is_replaced(client: TestClient, given: str) -> None:
    assert client.get("/healthz", headers={"x-request-id": given}).headers["x-request-id"] != given


def test_a_request_is_logged_with_its_job(client: TestClient, submit: Callable[..., str]) -> None:
    with structlog.testing.capture_logs() as logs:
        job_id = submit()
        client.post(f"/v1/jobs/{job_id}/cancel")
        client.get("/v1/models")
    lines = [line for line in logs if line["event"] == "request"]
    assert [(line["method"], line["status"], line.get("job")) for line in lines] == [
        ("POST", 202, job_id),
        ("POST", 200, job_id),
        ("GET", 200, None),
    ]
    assert all(line["ms"] > 0 for line in lines)


def test_polling_does_not_fill_the_log_unless_it_fails(
    client: TestClient, submit: Callable[..., str]
) -> None:
    job_id = submit()
    with structlog.testing.capture_logs() as logs:
        for path in ("/healthz", "/readyz", "/metrics", "/v1/queue", "/v1/jobs", f"/v1/jobs/{job_id}"):
            client.get(path)
        client.get("/v1/jobs/none")
    assert [line["log_level"] for line in logs] == ["debug"] * 6 + ["info"]
