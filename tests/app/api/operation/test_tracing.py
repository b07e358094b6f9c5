"""The spans of requests."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs import telemetry
from tests.app.conftest import LocalClient
from tests.spans import spans

__all__ = ["spans"]

CALLER = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "shop=1"}


def test_a_request_goes_on_with_the_trace_of_its_caller(
    settings: ApiSettings, spans: InMemorySpanExporter
) -> None:
    with LocalClient(create_app(settings)) as client:
        client.post("/v1/jobs", json={"prompt": "an apple"}, headers=CALLER)
        client.get("/v1/jobs/nothing", headers={"X-API-Key": "secret"})
        client.post("/v1/images?prompt=secret&steps=0")
        client.get("/healthz")
        client.get("/metrics")
    found = {span.name: span for span in spans.get_finished_spans()}
    assert found.keys() == {
        "POST /v1/jobs",
        "send lodestar",
        "GET /v1/jobs/{job_id}",
        "POST /v1/images",
    }
    request, send = found["POST /v1/jobs"], found["send lodestar"]
    assert request.parent is not None
    assert send.parent is not None
    assert f"{request.parent.span_id:016x}" == "b" * 16
    assert request.context.trace_id == send.context.trace_id == int("a" * 32, 16)
    assert send.parent.span_id == request.context.span_id
    missing = found["GET /v1/jobs/{job_id}"]
    assert missing.attributes is not None
    assert missing.attributes["http.response.status_code"] == 404
    told = [str(dict(span.attributes or {})) for span in spans.get_finished_spans()]
    assert not any("secret" in each for each in told)


@pytest.mark.parametrize("traceparent", ["", "nonsense", f"00-{'0' * 32}-{'b' * 16}-01", "00-" + "a" * 5000])
def test_a_traceparent_that_is_none_does_no_harm(
    settings: ApiSettings, spans: InMemorySpanExporter, traceparent: str
) -> None:
    with LocalClient(create_app(settings)) as client:
        answer = client.post(
            "/v1/jobs",
            json={"prompt": "an apple"},
            headers={"traceparent": traceparent, "tracestate": "=,=" * 900},
        )
    assert answer.status_code == 202
    (request,) = [span for span in spans.get_finished_spans() if span.name == "POST /v1/jobs"]
    assert request.parent is None


@pytest.mark.parametrize(
    "environ", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_SDK_DISABLED": "true"}]
)
def test_without_an_endpoint_nothing_is_traced(environ: dict[str, str]) -> None:
    with telemetry.tracing("lodestar-api", environ):
        assert not telemetry.is_on()
        assert not trace.get_tracer("test").start_span("one").is_recording()
