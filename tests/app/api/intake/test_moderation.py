"""Prompts are judged by a real server of another's, as the operator wants it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import HttpUrl, SecretStr
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.callers.audit import AuditLog
from tests.app.conftest import LocalClient


class Judge(ThreadingHTTPServer):
    """Speaks ``/v1/moderations`` and flags every text with the word ``blood``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.answer: bytes | None = None
        self.status, self.delay_s = 200, 0.0

    @property
    def url(self) -> HttpUrl:
        return HttpUrl(f"http://127.0.0.1:{self.server_port}/v1/moderations")


class _Handler(BaseHTTPRequestHandler):
    server: Judge

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers["Authorization"])
        time.sleep(self.server.delay_s)
        results = [
            {"flagged": "blood" in text, "categories": {"violence/graphic": "blood" in text, "hate": False}}
            for text in body["input"]
        ]
        answer = self.server.answer
        self.send_response(self.server.status)
        self.end_headers()
        with suppress(BrokenPipeError):  # who asks has a timeout
            self.wfile.write(json.dumps({"results": results}).encode() if answer is None else answer)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def judge() -> Iterator[Judge]:
    """The server."""
    with Judge() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


Asking = Callable[..., Any]


@pytest.fixture
def asking(settings: ApiSettings, judge: Judge) -> Asking:
    """A client of an API that has its prompts judged."""

    @contextmanager
    def ask(**update: object) -> Iterator[TestClient]:
        fields = {"moderation_url": judge.url, "moderation_timeout_s": 0.3, **update}
        with LocalClient(create_app(settings.model_copy(update=fields))) as client:
            yield client

    return ask


BLOODY = {"prompt": "a lot of blood"}


def test_a_flagged_prompt_is_refused_by_every_dialect_and_audited(asking: Asking, judge: Judge) -> None:
    ways = (
        ("/v1/jobs", BLOODY, 422),
        ("/v1/images", BLOODY, 422),
        ("/v1/images/generations", BLOODY, 400),
        ("/v1/models/lodestar/pocket/predictions", {"input": BLOODY}, 422),
        ("/sdapi/v1/txt2img", BLOODY, 422),
    )
    with asking() as client:
        for path, body, status in ways:
            answer = client.post(path, json=body)
            assert answer.status_code == status, (path, answer.text)
            assert "violence/graphic" in answer.text, path
        assert "moderation_blocked" in client.post("/v1/images/generations", json=BLOODY).text
        assert client.get("/v1/jobs").json()["data"] == []
        services = client.app.state.services
        services.auditor.flush()
        found = AuditLog(services.redis).page().data
        assert [entry.target for entry in found][::-1] == [path for path, *_ in ways] + [ways[2][0]]
        assert client.post("/v1/jobs", json={"prompt": "a pear"}).status_code == 202


def test_what_is_to_be_avoided_is_not_judged(asking: Asking, judge: Judge) -> None:
    objectives = [
        {"type": "text", "text": "a fig"},
        {"type": "text", "text": "blood on it", "weight": -0.5},
    ]
    body = {"prompt": "a pear", "negative_prompt": "blood", "guidance": {"objectives": objectives}}
    with asking(moderation_key=SecretStr("sk-1"), moderation_model="m-1") as client:
        assert client.post("/v1/jobs", json=body).status_code == 202
        assert client.post("/v1/jobs", json={"prompt": ""}).status_code == 202
    assert judge.asked == [{"input": ["a pear", "a fig"], "model": "m-1"}]
    assert judge.keys == ["Bearer sk-1"]


def test_a_flagged_prompt_may_be_taken_with_a_note(asking: Asking) -> None:
    with asking(moderation_policy="flag") as client:
        job = client.post("/v1/jobs", json=BLOODY).json()
        assert job["notes"] == ["The prompt was flagged by moderation: violence/graphic."]
        assert client.post("/v1/jobs", json={"prompt": "a pear"}).json()["notes"] == []


@pytest.mark.parametrize("fault", ["away", "slow", "error", "redirect", "garbage", "empty"])
def test_without_a_verdict_it_is_as_the_operator_wants(asking: Asking, judge: Judge, fault: str) -> None:
    match fault:
        case "slow":
            judge.delay_s = 0.6
        case "error":
            judge.status = 500
        case "redirect":
            judge.status = 302
        case "garbage":
            judge.answer = b"<html>"
        case "empty":
            judge.answer = b'{"results": []}'
    away = {"moderation_url": HttpUrl("http://127.0.0.1:1/v1/moderations")} if fault == "away" else {}
    began = time.monotonic()
    with asking(**away) as client:
        refused = client.post("/v1/jobs", json={"prompt": "a pear"})
        assert (refused.status_code, refused.json()["type"]) == (503, "/errors/moderation_unavailable")
        assert int(refused.headers["Retry-After"]) > 0
    with asking(moderation_when_away="allow", **away) as client:
        taken = client.post("/v1/jobs", json={"prompt": "a pear"})
        assert taken.status_code == 202
        assert "not moderated" in taken.json()["notes"][0]
    assert time.monotonic() - began < 4
