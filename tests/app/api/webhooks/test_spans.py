"""The spans of webhook messages."""

import time
from collections.abc import Callable, Sequence
from ipaddress import ip_network

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from app.api.main import create_app
from app.api.settings import ApiSettings
from app.api.webhooks import deliverer
from tests.app.api.webhooks.receiver import receiving
from tests.app.conftest import LocalClient
from tests.app.played_worker import PlayedWorker
from tests.spans import spans

__all__ = ["spans"]


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    """Settings that let webhooks reach this machine."""
    return settings.model_copy(update={"webhook_networks": (ip_network("127.0.0.0/8"),)})


def until(condition: Callable[[], Sequence[ReadableSpan]], number: int) -> Sequence[ReadableSpan]:
    """The spans, once there are so many."""
    end = time.monotonic() + 60
    while len(found := condition()) < number:
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def test_each_attempt_is_a_span_below_the_submission_and_tells_no_address(
    settings: ApiSettings,
    spans: InMemorySpanExporter,
    worker: PlayedWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deliverer, "POLL_S", 0.02)
    monkeypatch.setattr(deliverer, "pause_s", lambda attempt: 0.05)

    def deliveries() -> list[ReadableSpan]:
        return [span for span in spans.get_finished_spans() if span.name == "deliver webhook"]

    with receiving(503, 200) as receiver, LocalClient(create_app(settings)) as client:
        url = f"{receiver.url}?token=secret"
        job_id = client.post("/v1/jobs", json={"prompt": "an apple", "webhook": url}).json()["id"]
        worker.succeed(job_id)
        first, second = until(deliveries, 2)
    (send,) = [span for span in spans.get_finished_spans() if span.name == "send lodestar"]
    for number, (span, outcome) in enumerate([(first, "retried"), (second, "delivered")], 1):
        assert span.parent is not None
        assert span.parent.span_id == send.context.span_id
        assert span.context.trace_id == send.context.trace_id
        assert span.kind is SpanKind.CLIENT
        assert span.attributes is not None
        assert span.attributes["lodestar.job.id"] == job_id
        assert span.attributes["lodestar.webhook.event"] == "done"
        assert span.attributes["lodestar.webhook.attempt"] == number
        assert span.attributes["lodestar.outcome"] == outcome
        assert "secret" not in span.to_json()
    assert first.status.status_code is StatusCode.ERROR
    assert "503" in str(first.status.description)
    assert second.status.status_code is StatusCode.UNSET
