"""Bodies that no client would send: refused at once and in few words, whatever route they are sent to."""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from fastapi import FastAPI

from app.api.main import create_app
from app.api.problems.problem import MAX_ERRORS
from app.api.settings import ApiSettings
from tests.app.api.intake.test_intake import FORM, JSON, api_routes

MOST_BYTES = 8 << 20
LONGEST_ANSWER = 64 << 10
LONGEST_HOLD_S = 0.25  # it takes 35 ms at most where nothing else runs
MULTIPART = "multipart/form-data; boundary=b"


class Exchange:
    """One request straight to the app, without a network: its answer, and how long it kept the event loop."""

    def __init__(self, app: FastAPI, path: str, kind: str, body: bytes, query: bytes = b"") -> None:
        self._messages = [
            {"type": "http.request", "body": body[start : start + 65_536], "more_body": True}
            for start in range(0, len(body), 65_536)
        ]
        self._messages.append({"type": "http.request", "body": b"", "more_body": False})
        self.held_s = 0.0
        self.content = b""
        headers = [(b"host", b"127.0.0.1"), (b"content-type", kind.encode())]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "headers": [*headers, (b"content-length", str(len(body)).encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        asyncio.run(self._serve(app, scope))

    async def _serve(self, app: FastAPI, scope: dict[str, Any]) -> None:
        ticking = asyncio.create_task(self._tick())
        await asyncio.sleep(0)
        await app(scope, self._receive, self._send)
        ticking.cancel()

    async def _tick(self) -> None:
        # The time of the processor, not of the clock: the machine may be busy with other things.
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.held_s, last = max(self.held_s, now - last), now

    async def _receive(self) -> dict[str, Any]:
        if not self._messages:
            return {"type": "http.disconnect"}  # so that no job is waited for
        await asyncio.sleep(0)
        return self._messages.pop(0)

    async def _send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        self.content += message.get("body", b"")


def filled(unit: str, before: str = "[", after: str = "]", most: int = MOST_BYTES) -> str:
    """A list of as many of these items as fit into a body."""
    return before + ",".join([unit] * ((most - len(before) - len(after)) // (len(unit) + 1))) + after


def names(count: int, letters: str = "") -> str:
    return "{" + ",".join(f'"{letters}{number:05x}":0' for number in range(count)) + "}"


ITEMS = [
    "0",
    "[]",
    "{}",
    '""',
    "null",
    "1e-320",
    "9" * 4000,
    "[" * 100 + "]" * 100,
    '{"type":"tv"}',
    '{"type":0,"b":1}',
]


def hostile_objects(random: random.Random) -> Iterator[str]:
    """JSON bodies up to the limit that no client would send."""
    for field in ("objectives", "events", "webhook_events_filter", "styles", "args", "prompt"):
        item = filled(random.choice(ITEMS), most=MOST_BYTES - 200)
        yield f'{{"prompt":"a","{field}":{item}}}'
        yield f'{{"prompt":"a","guidance":{{"{field}":{item}}},"webhook":{{"{field}":[]}}}}'
        yield f'{{"input":{{"prompt":"a","guidance":{{"{field}":{item}}}}},"version":"pocket"}}'
        yield f'{{"alwayson_scripts":{{"CLIP guidance":{{"{field}":{item}}}}},"override_settings":{item[:1000]!r}}}'
    for count in (590_000, 95_000, 1999):
        yield names(count)
        yield f'{{"prompt":"a","input":{names(count)},"version":"pocket"}}'
        yield f'{{"prompt":"a","alwayson_scripts":{names(count)}}}'
    yield names(1999, random.choice(("x" * 480, "\N{RED APPLE}" * 100, "\\u0000" * 70, "\\ud800" * 70)))
    for letters in (
        "a" * (MOST_BYTES - 1000),
        "\\u0000" * (MOST_BYTES // 7),
        "\\ud800" * (MOST_BYTES // 7),
        "\N{RED APPLE}" * (MOST_BYTES // 5),
        "[" * 9000,
    ):
        beside = '"prompt":"a","input":{"prompt":"a"},"version":"b"'
        for field in ("prompt", "model", "version", "size", "sampler_name", "webhook"):
            yield f'{{{beside},"{field}":"{letters}"}}'
        yield f'{{{beside},"{letters}":1}}'
        half = letters[: len(letters) // 12 * 6]
        yield f'{{"sd_model_checkpoint":"{half}","version":"pocket","input":{{"prompt":"a","scheduler":"{half}"}}}}'


def hostile_forms() -> Iterator[tuple[str, bytes]]:
    """Likewise forms."""
    for group in ("guidance", "select", "webhook"):
        listed = filled("0", '{"objectives":[', "]}", 900_000)
        yield FORM, f"prompt=a&{group}={listed}".encode()
        yield FORM, f"prompt=a&{group}={names(1900)}".encode() * 3
    yield FORM, b"prompt=a" + b"&x" * 500_000
    yield FORM, b"prompt=" + b"%41" * 340_000
    yield FORM, b"a" * 10**6 + b"=1"
    yield FORM, b"jobs=1&" * 140_000
    part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    yield MULTIPART, part % (b"jobs", b"x") * 15_000 + b"--b--\r\n"
    yield MULTIPART, part % (b"jobs", b"\r\n--" * 4000) * 60 + b"--b--\r\n"
    yield MULTIPART, part % (b"a" * 8000, b"x") * 100 + b"--b--\r\n"
    yield (
        MULTIPART,
        part % (b"guidance", filled("0", '{"objectives":[', "]}", 900_000).encode()) + b"--b--\r\n",
    )
    yield MULTIPART, b"--b\r\nX: " + b"a" * 10**6
    yield MULTIPART + "; x=" + 'a=";";' * 5000, b"--b--\r\n"


def posting(app: FastAPI) -> list[str]:
    paths = {route.path for route in api_routes(app.routes) if "POST" in (route.methods or ())}
    values = defaultdict(lambda: "0", owner="lodestar", name="pocket")
    return sorted(path.format_map(values) for path in paths)


@pytest.fixture
def app(settings: ApiSettings) -> FastAPI:
    """The API."""
    return create_app(settings)


@pytest.fixture
def send(app: FastAPI) -> Callable[[str, str, bytes], None]:
    """Send a body that must be refused, or ignored, at once and in few words."""

    def exchange(path: str, kind: str, body: bytes) -> None:
        answer = Exchange(app, path, kind, body)
        case = (path, kind[:80], body[:80], answer.status, answer.content[:300])
        assert answer.held_s < LONGEST_HOLD_S, case
        assert answer.status in {*range(200, 500), 501}, case
        assert len(answer.content) <= LONGEST_ANSWER, case
        if answer.status == 422:
            lists = [value for value in json.loads(answer.content).values() if isinstance(value, list)]
            assert max(map(len, lists), default=0) <= MAX_ERRORS, case

    return exchange


@pytest.mark.parametrize("seed", range(2))
def test_no_body_holds_the_server_up_or_is_answered_at_length(
    app: FastAPI, send: Callable[[str, str, bytes], None], seed: int
) -> None:
    drawn = random.Random(seed)
    paths = posting(app)
    assert len(paths) > 15
    for body in hostile_objects(drawn):
        for path in drawn.sample(paths, 3):
            send(path, JSON, body.encode())
    for kind, content in hostile_forms():
        for path in ("/v1/images", "/v1/scores", drawn.choice(paths)):
            send(path, kind, content)
