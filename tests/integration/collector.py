"""A collector of OpenTelemetry's traces, as far as tests need one: OTLP over HTTP."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Span:
    """A span that was received."""

    def __init__(self, span: Any, service: str) -> None:
        self.service, self.name = service, span.name
        self.trace_id, self.id, self.parent = (
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
        )
        self.began_ns, self.ended_ns = span.start_time_unix_nano, span.end_time_unix_nano
        self.links = [link.span_id.hex() for link in span.links]
        self.attributes = {each.key: _value(each.value) for each in span.attributes}


class Collector:
    """Its block runs a server on a free port."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process that is to send its traces here, soon after they end."""
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100"}

    def take(self, path: str, body: bytes) -> None:
        """Keep the spans of a message."""
        assert path == "/v1/traces"
        message = ExportTraceServiceRequest.FromString(body)
        for group in message.resource_spans:
            resource = {each.key: _value(each.value) for each in group.resource.attributes}
            for scope in group.scope_spans:
                self.spans += [Span(span, resource["service.name"]) for span in scope.spans]

    def of_trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace that have come so far, by their start."""
        return sorted(
            (span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.began_ns
        )

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))
