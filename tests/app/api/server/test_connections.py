"""Connections that are not used are closed, and there are never too many."""

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.api.access.body_limit import BodyLimit
from app.api.main import create_app
from app.api.server.connections import Patience
from app.api.settings import ApiSettings
from tests.app.conftest import serving

HASTY = Patience(head_s=0.6, reader_s=0.6)
SOON_S = 20  # for what takes a second on a machine that has nothing else to do
CHUNK = b"x" * (1 << 16)


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port or 80), timeout=SOON_S) as connection:
        yield connection


def get(path: str, *more: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *more, "", ""]).encode()


def status_of(connection: socket.socket) -> int:
    """The status of the next answer, of which the whole is taken."""
    with HTTPResponse(connection) as answer:
        answer.begin()
        answer.read()
        return answer.status


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends it; TimeoutError if it does not."""
    try:
        return connection.recv(1 << 16) == b""
    except ConnectionError:
        return True


def drip(connection: socket.socket, piece: bytes, *, every_s: float = 0.1) -> float:
    """Send a piece again and again until the server ends the connection; the seconds that took."""
    begun = time.monotonic()
    connection.settimeout(every_s)
    while time.monotonic() - begun < SOON_S:
        try:
            connection.sendall(piece)
            if connection.recv(1 << 16) == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return time.monotonic() - begun


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers without end, as fast as it is taken."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        await asyncio.sleep(0)


@pytest.fixture
def url(settings: ApiSettings) -> Iterator[str]:
    """Address of an API that has little patience."""
    with serving(create_app(settings), patience=HASTY) as url:
        yield url


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_connection_without_a_whole_head_is_closed(url: str, begun: bytes) -> None:
    with connected(url) as connection:
        connection.sendall(begun)
        assert is_closed(connection)


def test_a_head_that_drips_in_is_not_waited_for_longer(url: str) -> None:
    with connected(url) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        assert drip(connection, b"X-A: b\r\n") < SOON_S / 2


def test_it_is_closed_in_the_middle_of_a_second_request_too(url: str) -> None:
    with connected(url) as connection:
        connection.sendall(get("/healthz"))
        assert status_of(connection) == 200
        time.sleep(HASTY.head_s * 2)  # idle after an answer is another thing
        connection.sendall(get("/healthz"))
        assert status_of(connection) == 200
        connection.sendall(b"G")
        assert is_closed(connection)


def test_requests_behind_each_other_are_answered_in_turn(url: str) -> None:
    with connected(url) as connection:
        connection.sendall(get("/healthz") + get("/nope") + get("/healthz", "Connection: close"))
        answers = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"404", b"200"]


def test_an_idle_connection_is_kept_as_long_as_the_operator_says(settings: ApiSettings) -> None:
    with serving(create_app(settings), keep_alive_s=1) as url, connected(url) as connection:
        connection.sendall(get("/healthz"))
        assert status_of(connection) == 200
        assert is_closed(connection)


def test_by_default_it_outlasts_a_load_balancers() -> None:
    assert ApiSettings().keep_alive_s > 60


def hurried(settings: ApiSettings, patience_s: float) -> FastAPI:
    """An API that waits so long for bodies."""
    app = create_app(settings)
    classes: list[Any] = [each.cls for each in app.user_middleware]
    layer = app.user_middleware[classes.index(BodyLimit)]
    layer.kwargs["patience_s"] = patience_s
    return app


def post(path: str, length: int, *more: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *more, "", ""]
    return "\r\n".join(head).encode()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/jobs", "application/json"),
        ("/v1/images", "application/x-www-form-urlencoded"),
        ("/v1/scores", "multipart/form-data; boundary=x"),
        ("/v1/predictions", "application/json"),
    ],
)
def test_a_body_that_stops_coming_ends_with_408(settings: ApiSettings, path: str, kind: str) -> None:
    with serving(hurried(settings, 0.5)) as url, connected(url) as connection:
        connection.sendall(post(path, 100, f"Content-Type: {kind}") + b"--x")
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"/errors/request_timeout" in answer


def test_a_body_that_drips_in_ends_so_too(settings: ApiSettings) -> None:
    with serving(hurried(settings, 0.5)) as url, connected(url) as connection:
        connection.sendall(post("/v1/jobs", 100_000, "Content-Type: application/json"))
        assert drip(connection, b" ") < SOON_S / 2


def test_a_body_that_comes_in_parts_is_read(settings: ApiSettings) -> None:
    body = b'{"prompt": "a red apple"}' + b" " * 2000
    with serving(hurried(settings, 1)) as url, connected(url) as connection:
        connection.sendall(post("/v1/jobs", len(body), "Content-Type: application/json"))
        for start in range(0, len(body), 500):
            time.sleep(0.3)  # longer in all than one pause may be
            connection.sendall(body[start : start + 500])
        assert status_of(connection) == 202


def test_the_rest_of_a_body_that_nobody_reads_is_not_taken_for_ever(url: str) -> None:
    with connected(url) as connection:
        connection.sendall(post("/v1/jobs", 1 << 40))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 4")
        assert drip(connection, b"x") < SOON_S / 2


def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    begun = time.monotonic()
    with (
        serving(endless, patience=HASTY, lifespan="off", stop_timeout_s=1) as url,
        connected(url) as connection,
    ):
        connection.sendall(get("/"))
        time.sleep(HASTY.reader_s * 3)
        taken = 0
        try:
            while piece := connection.recv(1 << 20):
                taken += len(piece)
        except ConnectionError:
            pass
    assert taken > 0  # what the kernel had taken for it
    assert time.monotonic() - begun < SOON_S


def test_a_slow_reader_is_not() -> None:
    with (
        serving(endless, patience=HASTY, lifespan="off", stop_timeout_s=1) as url,
        connected(url) as connection,
    ):
        connection.sendall(get("/"))
        end = time.monotonic() + HASTY.reader_s * 3
        while time.monotonic() < end:
            time.sleep(0.05)
            assert connection.recv(1 << 20)


def test_the_longest_idle_make_room_for_new_ones(settings: ApiSettings) -> None:
    with serving(create_app(settings), most_connections=5) as url, ExitStack() as stack:
        idle = [stack.enter_context(connected(url)) for _ in range(5)]
        for connection in idle:
            connection.sendall(get("/healthz"))
            assert status_of(connection) == 200
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert is_closed(idle[0])
        for connection in idle[2:]:
            connection.sendall(get("/healthz"))
            assert status_of(connection) == 200


def test_one_is_turned_away_when_all_are_busy(settings: ApiSettings) -> None:
    with serving(create_app(settings), most_connections=3, stop_timeout_s=1) as url, ExitStack() as stack:
        readers = [stack.enter_context(connected(url)) for _ in range(3)]
        for reader in readers:
            reader.sendall(get("/v1/events"))
            assert reader.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        with connected(url) as late:
            assert late.recv(1 << 16).startswith(b"HTTP/1.1 503 ")
        readers.pop().close()
        until(lambda: httpx.get(f"{url}/healthz").status_code == 200)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON_S
    while True:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end
        time.sleep(0.05)
