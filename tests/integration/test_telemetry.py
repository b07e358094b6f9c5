"""What the processes of the real stack tell of themselves."""

import secrets

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.collector import Collector
from tests.integration.stack import PATIENCE_S, Stack
from tests.waiting import until


def test_one_trace_leads_from_the_request_to_the_stored_picture(stack: Stack, collector: Collector) -> None:
    trace_id, caller = secrets.token_hex(16), secrets.token_hex(8)
    answer = httpx.post(
        f"{stack.url}/v1/jobs",
        json={"prompt": "a secret apple", "steps": 3, "num_images": 2},
        headers={"traceparent": f"00-{trace_id}-{caller}-01", "Prefer": "wait=60"},
        timeout=90,
    )
    job = answer.json()
    assert job["status"] == "succeeded"
    until(
        lambda: any(span.name == "process lodestar" for span in collector.of_trace(trace_id)),
        within_s=PATIENCE_S,
    )
    until(lambda: any(span.parent == caller for span in collector.of_trace(trace_id)), within_s=PATIENCE_S)
    spans = {span.name: span for span in collector.of_trace(trace_id)}
    request, send, process = spans["POST /v1/jobs"], spans["send lodestar"], spans["process lodestar"]
    assert (request.service, send.service) == ("lodestar-api", "lodestar-api")
    assert process.service == "lodestar-worker"
    assert (request.parent, send.parent, process.parent) == (caller, request.id, send.id)
    assert process.links == [send.id]
    assert process.attributes["lodestar.job.id"] == job["id"]
    assert process.attributes["lodestar.outcome"] == "succeeded"
    assert request.attributes["http.response.status_code"] == 200
    parts = [span for span in collector.of_trace(trace_id) if span.parent == process.id]
    assert {"prepare", "encodetext", "denoise", "decode", "commit"} <= {span.name for span in parts}
    assert spans["denoise"].attributes["lodestar.calls"] == 6
    for part in parts:
        assert process.began_ns <= part.began_ns <= part.ended_ns <= process.ended_ns
    stored = [span for span in collector.of_trace(trace_id) if span.name == "store put"]
    assert len(stored) >= 2
    told = [str(value) for span in collector.of_trace(trace_id) for value in span.attributes.values()]
    assert not any("secret" in value for value in told)


def test_a_worker_has_a_port_of_its_own_for_probes_and_metrics(stack: Stack) -> None:
    own = f"http://127.0.0.1:{stack.env['LODESTAR_METRICS_PORT']}"
    assert list(stack.client.generate("an apple", steps=2))
    until(lambda: httpx.get(f"{own}/readyz").is_success, within_s=PATIENCE_S)
    assert httpx.get(f"{own}/healthz").is_success
    families = text_string_to_metric_families(httpx.get(f"{own}/metrics").text)
    told = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
    assert told["lodestar_batch_rows_count", "denoise"] >= 2
    assert told["lodestar_model_load_seconds_count", "model"] >= 1
    assert told["lodestar_artifact_seconds_count", "put"] >= 1
    assert told["lodestar_model_seconds_total",] > 0
    assert told["lodestar_redis_command_seconds_count", "claim"] >= 1
    assert told["lodestar_loaded_models", "pocket"] == 1
