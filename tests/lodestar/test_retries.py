"""What is tried again, against real servers that misbehave."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from app.api.main import create_app
from app.api.settings import ApiSettings
from app.stack.preflight import free_port
from jobs.queue.queue import JobQueue
from lodestar.client import Client
from lodestar.errors import (
    ClientError,
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
    ServerUnavailableError,
    ServerUnreachableError,
    TooManyRequestsError,
    WaitTimeoutError,
)
from lodestar.http.hints import hinted_s
from tests.app.conftest import serving

Answer = tuple[int, dict[str, str]]


class Server(ThreadingHTTPServer):
    """Answers as it is told, the last answer for ever."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.asked: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Serves nothing but what the server says."""

    server: Server
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = len(self.server.asked)
        self.server.asked.append({name.lower(): value for name, value in self.headers.items()})
        status, headers = self.server.answers[min(asked, len(self.server.answers) - 1)]
        body = b'{"data": [], "type": "/errors/told", "detail": "as told"}'
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815 -- http.server finds them by these names

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def answering(*answers: Answer) -> Iterator[Server]:
    with Server(list(answers)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


BUSY: Answer = (429, {"Retry-After": "7"})
AWAY: Answer = (503, {"Retry-After": "2"})
GOOD: Answer = (200, {})


def test_the_wait_is_what_the_server_asks_for() -> None:
    waits: list[float] = []
    with answering(AWAY, BUSY, GOOD) as server, Client(server.url, sleep=waits.append) as client:
        assert client.models() == ()
    assert waits == [2.0, 7.0]


def test_without_a_hint_the_wait_doubles() -> None:
    waits: list[float] = []
    with (
        answering((502, {})) as server,
        Client(server.url, retries=5, sleep=waits.append) as client,
        pytest.raises(ServerUnavailableError),
    ):
        client.models()
    assert len(server.asked) == 6
    assert all(0.75 * most <= wait <= most for wait, most in zip(waits, (0.5, 1, 2, 4, 8), strict=True))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((422, {}), InvalidRequestError),
        ((404, {}), NotFoundError),
        ((401, {}), NotAllowedError),
        ((503, {"x-should-retry": "false", "Retry-After": "1"}), ServerUnavailableError),
        ((429, {"Retry-After": "86400"}), TooManyRequestsError),
    ],
)
def test_what_would_end_alike_is_sent_once(answer: Answer, error: type[ClientError]) -> None:
    with (
        answering(answer) as server,
        Client(server.url) as client,
        pytest.raises(error, match="as told") as raised,
    ):
        client.models()
    assert len(server.asked) == 1
    assert raised.value.kind == "told"


def test_the_server_may_ask_for_another_try_of_anything() -> None:
    with (
        answering((409, {"x-should-retry": "true"}), GOOD) as server,
        Client(server.url, sleep=lambda _: None) as client,
    ):
        client.models()
    assert len(server.asked) == 2


@pytest.mark.parametrize(("answer", "tries"), [(AWAY, 1), (BUSY, 5), ((408, {}), 5)])
def test_a_call_that_is_not_safe_to_repeat_is_repeated_only_if_nothing_was_done(
    answer: Answer, tries: int
) -> None:
    with (
        answering(answer) as server,
        Client(server.url, sleep=lambda _: None) as client,
        pytest.raises(ClientError),
    ):
        client.call("POST", "/v1/scores")
    assert len(server.asked) == tries


def test_every_try_of_a_job_has_the_same_key_and_every_job_another() -> None:
    with answering(AWAY) as server, Client(server.url, retries=1, sleep=lambda _: None) as client:
        for _ in range(2):
            with pytest.raises(ServerUnavailableError):
                client.submit("a fox")
    first, again, second, _ = (asked["idempotency-key"] for asked in server.asked)
    assert first == again != second


def test_a_job_whose_answer_was_lost_is_not_drawn_twice(settings: ApiSettings, queue: JobQueue) -> None:
    lost: list[httpx.Response] = []

    def lose_the_first(response: httpx.Response) -> None:
        if not lost and response.request.method == "POST":
            lost.append(response)
            raise httpx.ReadError("the connection broke", request=response.request)

    with serving(create_app(settings)) as url, Client(url, sleep=lambda _: None) as client:
        client.models()  # a server that has never answered is not tried again
        client._transport.http.event_hooks["response"].append(lose_the_first)
        job = client.submit("a fox")
    assert lost
    assert [each.id for each in queue.list().data] == [job.id]


def test_a_server_that_has_never_answered_is_not_waited_for() -> None:
    def never(seconds: float) -> None:
        raise AssertionError

    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    with Client(url, sleep=never) as client, pytest.raises(ServerUnreachableError):
        client.models()


def test_a_key_is_sent_with_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(GOOD) as server:
        with Client(server.url, key="lsk_one") as client:
            client.models()
        monkeypatch.setenv("LODESTAR_KEY", "lsk_two")
        with Client(server.url) as client:
            client.models()
    assert [asked["authorization"] for asked in server.asked] == ["Bearer lsk_one", "Bearer lsk_two"]


@pytest.mark.parametrize(
    ("said", "understood"),
    [("3", 3.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", None), ("", None), ("-5", None)],
)
def test_a_hint_is_a_number_or_a_date(said: str, understood: float | None) -> None:
    assert hinted_s(httpx.Headers({"retry-after": said})) == understood


def test_a_problem_names_every_field(api: Client) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        api.call("POST", "/v1/jobs", json={"prompt": "a fox", "steps": 0, "cfg_scale": -1})
    assert {each.field for each in raised.value.errors} == {"steps", "cfg_scale"}
    assert raised.value.field == raised.value.errors[0].field
    assert (raised.value.kind, raised.value.status) == ("invalid_request", 422)
    assert raised.value.request_id


def test_a_wait_is_over_in_time_however_long_the_server_asks_to_wait() -> None:
    waits: list[float] = []
    with (
        answering(AWAY) as server,
        Client(server.url, sleep=waits.append) as client,
        pytest.raises(WaitTimeoutError),
    ):
        client.jobs.wait("1", timeout_s=0.05)
    assert all(wait <= 0.05 for wait in waits)


def test_a_wait_bears_with_a_server_that_is_busy() -> None:
    waits: list[float] = []
    with (
        answering((429, {"Retry-After": "7"}), (404, {})) as server,
        Client(server.url, sleep=waits.append) as client,
        pytest.raises(NotFoundError),
    ):
        client.jobs.wait("1")
    assert waits == [7.0]
