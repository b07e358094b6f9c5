"""A reverse proxy that serves an API under a prefix, as people put one in front."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# Of one connection; http.client undoes the chunks, so that the end of an answer is that of its connection.
_OF_A_CONNECTION = {"connection", "transfer-encoding", "keep-alive"}


@contextmanager
def proxying(backend: str, prefix: str, *, strips: bool = True, **headers: str) -> Iterator[str]:
    """Serve what is at ``backend`` under a prefix; the address of the whole.

    Args:
        backend: address of the API.
        prefix: what the paths of clients begin with.
        strips: whether it takes the prefix off.
        headers: what it adds, with underscores for dashes.
    """
    added = {name.replace("_", "-"): value for name, value in headers.items()}

    class Handler(_Handler):
        def target(self) -> str | None:
            if not self.path.startswith(prefix):
                return None
            return (self.path.removeprefix(prefix) or "/") if strips else self.path

        @contextmanager
        def asking(self, target: str, body: bytes | None) -> Iterator[HTTPResponse]:
            with closing(HTTPConnection(urlsplit(backend).netloc, timeout=60)) as connection:
                connection.request(self.command, target, body, {**dict(self.headers.items()), **added})
                yield connection.getresponse()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{prefix}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler, ABC):
    """Passes a request on and its answer back, piece by piece."""

    disable_nagle_algorithm = True  # a piece does not wait for the one before it

    @abstractmethod
    def target(self) -> str | None:
        """Where the request goes; None if it is not this proxy's."""

    @abstractmethod
    def asking(self, target: str, body: bytes | None) -> AbstractContextManager[HTTPResponse]:
        """The request there, and its answer while the block lasts."""

    def forward(self) -> None:
        if (target := self.target()) is None:
            self.send_error(404)
            return
        length = int(self.headers.get("Content-Length") or 0)
        with self.asking(target, self.rfile.read(length) if length else None) as answer:
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _OF_A_CONNECTION:
                    self.send_header(name, value)
            self.end_headers()
            # A server that is stopped, or a reader that leaves, in the middle of an answer.
            with suppress(HTTPException, OSError):
                while piece := answer.read1(1 << 16):
                    self.wfile.write(piece)

    do_GET = do_HEAD = do_POST = do_DELETE = forward  # noqa: N815 - the names that its class looks for

    def log_message(self, format: str, *args: object) -> None:
        pass
