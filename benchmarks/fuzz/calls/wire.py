"""Bytes that are no good HTTP, and connections that never finish a request."""

import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from benchmarks.fuzz.calls.sender import Sender
from benchmarks.fuzz.findings.tally import Call, Finding

PATIENCE_S = 5.0
IDLE_CONNECTIONS = 100
_BODY = b'{"prompt":"a"}'
_POST = (
    b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
)
_GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"


def malformed() -> Iterator[tuple[str, bytes]]:
    """Odd requests, each with its oddity and its bytes."""
    yield from _first_lines()
    yield from _headers()
    yield from _lengths()
    yield from _chunks()


def _first_lines() -> Iterator[tuple[str, bytes]]:
    yield "no HTTP", b"hello\r\n\r\n"
    yield "TLS", bytes.fromhex("16030100a5010000a10303") + bytes(160)
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "HTTP/0.9", b"GET /healthz\r\n\r\n"
    yield "HTTP/1.0", b"GET /healthz HTTP/1.0\r\n\r\n"
    yield "a small method", b"get /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    yield "HTTP/9.9", b"GET /healthz HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n"
    yield "no Host", b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"
    yield "two Hosts", _GET + b"Host: evil.example\r\n\r\n"
    yield (
        "a whole address",
        b"GET http://evil.example/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    )
    yield "a star", b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    yield "bytes in the path", b"GET /\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    yield "a path of 100 kB", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def _headers() -> Iterator[tuple[str, bytes]]:
    yield "a NUL in a header", _GET + b"X-Odd: a\0b\r\n\r\n"
    yield "a bare CR in a header", _GET + b"X-Odd: a\rb\r\n\r\n"
    yield "a folded header", _GET + b"X-Odd: a\r\n b\r\n\r\n"
    yield "a space before the colon", _GET + b"X-Odd : a\r\n\r\n"
    yield "2000 headers", _GET + b"X-Odd: a\r\n" * 2000 + b"\r\n"
    yield "a header of 100 kB", _GET + b"X-Odd: " + b"a" * 100_000 + b"\r\n\r\n"
    yield "an odd encoding", _POST + b"Transfer-Encoding: odd\r\nContent-Length: 14\r\n\r\n" + _BODY
    yield "Expect", _POST + b"Expect: 100-continue\r\nContent-Length: 14\r\n\r\n" + _BODY


def _lengths() -> Iterator[tuple[str, bytes]]:
    yield "two lengths", _POST + b"Content-Length: 14\r\nContent-Length: 5\r\n\r\n" + _BODY
    yield (
        "a length and chunks",
        _POST + b"Content-Length: 14\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _BODY,
    )
    yield "a negative length", _POST + b"Content-Length: -1\r\n\r\n" + _BODY
    yield "a length with a sign", _POST + b"Content-Length: +14\r\n\r\n" + _BODY
    yield "a huge length", _POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n" + _BODY
    yield "a body that is cut", _POST + b"Content-Length: 14\r\n\r\n" + _BODY[:5]
    yield (
        "a longer body than announced",
        _POST + b"Content-Length: 14\r\n\r\n" + _BODY + b"GET /healthz HTTP/1.1\r\n\r\n",
    )
    yield "no length", _POST + b"\r\n" + _BODY


def _chunks() -> Iterator[tuple[str, bytes]]:
    chunked = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
    yield "chunks", chunked + b"e\r\n" + _BODY + b"\r\n0\r\n\r\n"
    yield "a negative chunk", chunked + b"-1\r\n" + _BODY + b"\r\n0\r\n\r\n"
    yield "a huge chunk", chunked + b"f" * 20 + b"\r\n" + _BODY
    yield "a chunk with extensions", chunked + b"e;" + b"a=b;" * 5000 + b"\r\n" + _BODY + b"\r\n0\r\n\r\n"
    yield "trailers", chunked + b"e\r\n" + _BODY + b"\r\n0\r\nX-Odd: a\r\n\r\n"


def send_malformed(sender: Sender) -> None:
    """Each on a connection of its own, while others are open that never finish what they began."""
    address = urlsplit(sender.url)
    target = (str(address.hostname), address.port or 80)
    idle = [_begun(target, index) for index in range(IDLE_CONNECTIONS)]
    for about, data in malformed():
        _exchange(sender, target, about, data)
    if sender.send("GET /healthz", "/healthz", f"beside {IDLE_CONNECTIONS} idle connections") is None:
        sender.tally.found(Finding("no answer", "GET /healthz", "idle connections keep others out", ""))
    for connection in idle:
        connection.close()


def _begun(target: tuple[str, int], index: int) -> socket.socket:
    """A connection with a part of a request."""
    connection = socket.create_connection(target, PATIENCE_S)
    connection.sendall((b"", b"GET /hea", _GET, _POST + b"Content-Length: 14\r\n\r\n" + _BODY[:5])[index % 4])
    return connection


def _exchange(sender: Sender, target: tuple[str, int], about: str, data: bytes) -> None:
    at, start, answer = time.time(), time.perf_counter(), b""
    with suppress(OSError), socket.create_connection(target, PATIENCE_S) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65_536):
            answer += part
    words = answer[:20].split()
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else None
    sender.tally.calls.append(Call(at, time.perf_counter() - start, "bytes", status))
    if status is not None and status >= 500:
        repeat = f"printf %b {shlex.quote(_escaped(data))} | nc {target[0]} {target[1]}"
        sender.tally.found(Finding("not_a_server_error", "bytes", f"{about}: {status}", repeat))


def _escaped(data: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\0{byte:o}" for byte in data)
