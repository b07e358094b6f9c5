"""The port of a worker: probes for Kubernetes, and metrics for Prometheus. It takes no jobs and needs no key."""

import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST

from jobs.errors import ConfigurationError

SILENCE_S = 10.0  # of a client, after which its connection is closed

Answer = tuple[HTTPStatus, str, bytes]


class StatusServer:
    """Answers ``/metrics``, ``/healthz`` and ``/readyz``, each request on a thread of its own."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        exposition: Callable[[], bytes],
        is_fit: Callable[[], bool],
        is_ready: Callable[[], bool],
    ) -> None:
        """Listen, and answer nothing yet.

        Args:
            host: address to listen on.
            port: 0 takes any free one.
            exposition: all metrics.
            is_fit: whether the worker can compute; if not, it should be ended.
            is_ready: whether it has loaded its first model.

        Raises:
            ConfigurationError: the address cannot be listened on.
        """

        def answer(path: str) -> Answer:
            match path.partition("?")[0]:
                case "/metrics":
                    return HTTPStatus.OK, CONTENT_TYPE_LATEST, exposition()
                case "/healthz":
                    return _verdict(is_fit(), "the worker can compute no more")
                case "/readyz":
                    return _verdict(is_fit() and is_ready(), "the first model is not loaded")
            return HTTPStatus.NOT_FOUND, "text/plain", b"there are /metrics, /healthz and /readyz\n"

        try:
            self._server = _Server(host, port, answer)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host} port {port}: {error.strerror or error}", field="metrics_port"
            ) from error

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer, on a thread of its own."""
        threading.Thread(target=self._server.serve_forever, name="status", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, answer: Callable[[str], Answer]) -> None:
        self.answer = answer
        family, *_, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self.address_family = family
        super().__init__(address[:2], _Handler)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SILENCE_S

    def do_GET(self) -> None:
        status, kind, body = self.server.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds: no line."""


def _verdict(is_good: bool, reason: str) -> Answer:
    if is_good:
        return HTTPStatus.OK, "text/plain", b"ok\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{reason}\n".encode()
