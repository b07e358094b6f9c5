"""Sends traces to an OpenTelemetry collector, if the environment names one.

``OTEL_EXPORTER_OTLP_ENDPOINT`` and the other variables of OpenTelemetry's specification are read by its SDK, which the
extra ``otel`` installs. Without that variable nothing is traced and the SDK is not even imported.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog
from opentelemetry import trace

from jobs.distribution import own_version

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
FLUSH_MS = 2000  # for what is left to send at the end

log = structlog.get_logger(__name__)


def is_on() -> bool:
    """Whether spans of this process go anywhere."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@contextmanager
def tracing(service: str, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Trace this process; call it once, in the entry point.

    Args:
        service: name of the process, unless ``OTEL_SERVICE_NAME`` has another.
        environ: the environment.
    """
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or not any(map(environ.get, ENDPOINTS)):
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("nothing is traced: the extra otel is not installed")
        yield
        return
    named = {SERVICE_NAME: environ.get("OTEL_SERVICE_NAME") or service, SERVICE_VERSION: own_version()}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.force_flush(FLUSH_MS)
