"""The spans of executions."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from redis import Redis

from jobs.db import keys
from jobs.errors import JobFailedError
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.requests.request import ResolvedRequest
from jobs.status.job import JobStatus
from jobs.tracing import context_of
from tests.jobs.samples import RESOLVED, claimed
from tests.spans import spans
from tests.waiting import until
from tests.worker.serving.test_executions import House
from worker.engine.work import Work
from worker.models.registry import ModelRegistry
from worker.telemetry.traces import ExecutionTraces

__all__ = ["spans"]

Ask = Callable[..., ResolvedRequest]


@pytest.fixture
def queue(redis: Redis) -> JobQueue:
    return JobQueue(redis, max_queued=10)


@pytest.fixture
def house(redis: Redis, models: ModelRegistry, tmp_path: Path) -> House:
    return House(redis, models, tmp_path)


def named(spans: InMemorySpanExporter, name: str) -> list[trace.Span]:
    return [span for span in spans.get_finished_spans() if span.name == name]  # type: ignore[misc]


def test_a_job_that_runs_again_has_two_executions_in_one_trace(
    house: House, ask: Ask, spans: InMemorySpanExporter
) -> None:
    with house.running("slow", lease_s=0.05) as slow:
        (job_id,) = house.begin(slow, ask(steps=60))
        house.recover(job_id)
        with house.running("second") as second:
            assert second.admit()
            until(lambda: house.status(job_id) is JobStatus.SUCCEEDED)
        until(lambda: len(named(spans, "process lodestar")) == 2)
    outcomes = {span.attributes["lodestar.outcome"] for span in named(spans, "process lodestar")}  # type: ignore[attr-defined]
    assert outcomes == {"lost", "succeeded"}
    assert len({span.context.trace_id for span in spans.get_finished_spans() if span.context}) == 1
    assert {span.parent.span_id for span in named(spans, "process lodestar")} == {  # type: ignore[attr-defined]
        span.get_span_context().span_id for span in named(spans, "send lodestar")
    }


def test_a_failure_is_an_error_and_a_released_job_is_none(
    redis: Redis, queue: JobQueue, spans: InMemorySpanExporter
) -> None:
    leases, traces = Leases(redis, worker="steady"), ExecutionTraces("steady")
    for _ in range(2):
        lease = claimed(leases, queue.submit(RESOLVED).job.id)
        traces.begin(lease)
        if not named(spans, "process lodestar"):
            status = leases.fail(lease, JobFailedError("no"))
            traces.end(lease, Work(lease.job_id, lease.request), status)
    traces.close()
    failed, released = named(spans, "process lodestar")
    assert failed.kind is SpanKind.CONSUMER  # type: ignore[attr-defined]
    assert failed.status.status_code is StatusCode.ERROR  # type: ignore[attr-defined]
    assert released.attributes["lodestar.outcome"] == "released"  # type: ignore[attr-defined]
    assert released.status.status_code is StatusCode.UNSET  # type: ignore[attr-defined]


def test_the_place_in_the_trace_is_with_the_job_and_not_in_its_request(
    redis: Redis, queue: JobQueue, spans: InMemorySpanExporter
) -> None:
    with trace.get_tracer("test").start_as_current_span("caller") as caller:
        job_id = queue.submit(RESOLVED).job.id
    record = redis.hgetall(keys.job(job_id))
    (send,) = named(spans, "send lodestar")
    place = trace.get_current_span(context_of(str(record["trace"]))).get_span_context()
    assert place.span_id == send.get_span_context().span_id
    assert place.trace_id == caller.get_span_context().trace_id
    assert "traceparent" not in str(record["request"])
    assert json.loads(str(record["trace"])).keys() == {"traceparent"}


def test_without_a_collector_nothing_is_kept_and_nothing_is_spanned(redis: Redis, queue: JobQueue) -> None:
    leases, traces = Leases(redis, worker="steady"), ExecutionTraces()
    job_id = queue.submit(RESOLVED).job.id
    assert redis.hget(keys.job(job_id), "trace") is None
    lease = claimed(leases, job_id)
    assert lease.trace == ""
    traces.begin(lease)
    with traces.part(lease, "commit"):
        assert not trace.get_current_span().is_recording()
    traces.end(lease, Work(job_id, lease.request), "succeeded")


@pytest.mark.parametrize("place", ["", "{}", '{"traceparent": "nonsense"}', '{"tracestate": "a=b"}'])
def test_a_place_that_is_none_begins_a_trace_of_its_own(place: str) -> None:
    assert not trace.get_current_span(context_of(place)).get_span_context().is_valid
