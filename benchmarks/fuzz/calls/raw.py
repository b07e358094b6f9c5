"""Requests that no client library would send: odd bodies, headers, paths and methods."""

from collections.abc import Iterator
from random import Random
from typing import Any

import httpx

from benchmarks.fuzz.calls.budget import Budget
from benchmarks.fuzz.calls.odd_bodies import odd_bodies
from benchmarks.fuzz.calls.sender import Sender
from benchmarks.fuzz.findings.documented import Documented

_PROMPT = {"prompt": "a red apple", "steps": 1}
_MODEL = "/v1/models/lodestar/pocket/predictions"
# What takes JSON, and a body that is right there.
JSON_ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "POST /v1/jobs": ("/v1/jobs", _PROMPT),
    "POST /v1/images": ("/v1/images", _PROMPT),
    "POST /v1/images/generations": ("/v1/images/generations", _PROMPT),
    "POST /sdapi/v1/txt2img": ("/sdapi/v1/txt2img", _PROMPT),
    "POST /sdapi/v1/options": ("/sdapi/v1/options", {"sd_model_checkpoint": "pocket"}),
    "POST /v1/models/{owner}/{name}/predictions": (_MODEL, {"input": _PROMPT}),
    "POST /v1/predictions": ("/v1/predictions", {"version": "pocket", "input": _PROMPT}),
}
_STREAM_IDS = (
    "0",
    "0-0",
    "-",
    "$",
    "99999999999999999999-0",
    f"{2**64}-0",
    f"{2**64 - 1}-{2**64}",
    "1767225600000-0",
    "é",
    "a" * 5000,
)
_HEADERS: dict[str, tuple[str, ...]] = {
    "Accept": (
        "",
        "*/*;q=0",
        "image/png;q=nan",
        "text/html",
        "a/b, " * 1000,
        "application/json;q=1e999",
        "é",
    ),
    "Accept-Encoding": ("gzip;q=0", "br", "gzip, " * 500),
    "Prefer": (
        "wait",
        "wait=",
        "wait=-1",
        "wait=nan",
        "wait=" + "9" * 400,
        "wait=1, wait=2",
        "respond-async",
        "é",
    ),
    "X-Forwarded-User": ("Jane Doe", "josé", "\xff", "a" * 5000, "\t"),
    "X-Forwarded-For": ("1.2.3.4", "é", "a" * 5000),
    "X-Forwarded-Proto": ("https", "javascript", "é"),
    "X-Forwarded-Host": ("evil.example", "a" * 5000),
    "X-Forwarded-Prefix": ("/sd", "//evil.example", "é"),
    "X-Request-ID": ("\xff", "a" * 5000),
    "Idempotency-Key": ("\xff", "a" * 255, "a" * 256, " "),
    "If-None-Match": ("*", '"', 'W/"a"', '"a",' * 1000),
    "Range": ("bytes=0-0", "bytes=-1", "bytes=9-1", "bytes=0-0," * 500),
    "Expect": ("100-continue", "200-ok"),
    "Upgrade": ("websocket", "h2c"),
    "Authorization": ("Basic é", "Basic " + "a" * 3000, "Bearer"),
    "Cookie": ("a=" + "b" * 3000,),
    "Host": ("evil.example", "127.0.0.1:99999", "[::1", "a" * 3000, "localhost.evil.example", ""),
    "Origin": ("http://evil.example", "null", "é", "http://" + "a" * 3000),
    "Sec-Fetch-Site": ("cross-site", "odd"),
    "Content-Length": ("0",),
}
_SEGMENTS = (
    "..",
    "%2e%2e",
    "%2e%2e%2fetc",
    "%5c..",
    "%c0%af",
    "%00",
    "%0d%0aX-Evil:1",
    "%e2%80%ae",
    "%ff",
    "٣",
    "0x1",
    "-1",
    "1e5",
    "a" * 3000,
)
_PATHS = (
    "/v1/jobs/{}",
    "/v1/jobs/{}/images/0",
    "/v1/jobs/nothing/images/{}",
    "/v1/jobs/nothing/previews/{}",
    "/v1/aesthetic-embeddings/{}",
    "/v1/models/{}",
    "/v1/models/{}/pocket",
    "/errors/{}",
    "/dashboard/{}",
    "/{}",
    "/v1/predictions/{}",
)


_FOREIGN_PAGES = (
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"},
)
# Served, and not in the description.
_PAGES = (
    "/",
    "/docs",
    "/openapi.json",
    "/dashboard/app.js",
    "/v1/predictions",
    "/sdapi/v1/options",
    "/v1/models/pocket",
)


def send_raw(sender: Sender, chance: Random, budget: Budget) -> None:
    """All of them in an order that the seed draws, as far as the time goes; streams, strangers and HEAD in any case."""
    whole = [*_bodies(chance), *_headers(), *_paths(), *_methods(sender.documented)]
    chance.shuffle(whole)
    for operation, path, about, options in whole:
        if budget.is_spent():
            break
        sender.send(operation, path, about, **options)
    _streams(sender)
    _strangers(sender)
    _heads(sender)


# Operation, path, what is odd, and the rest as httpx takes it.
Request = tuple[str, str, str, dict[str, Any]]


def _bodies(chance: Random) -> Iterator[Request]:
    for operation, (path, right) in JSON_ROUTES.items():
        for odd in odd_bodies(chance, right):
            named = {"Content-Type": odd.content_type, "Content-Encoding": odd.encoding}
            headers = [
                (name.encode(), value.encode("latin-1")) for name, value in named.items() if value is not None
            ]
            yield operation, path, odd.about, {"content": odd.data, "headers": headers}


def _headers() -> Iterator[Request]:
    for name, values in _HEADERS.items():
        for value in values:
            options = {"headers": [(name.encode(), value.encode("utf-8" if "é" in value else "latin-1"))]}
            about = f"{name}: {value[:40]}"
            yield "GET /v1/jobs", "/v1/jobs", about, options
            yield "GET /v1/webhooks/secret", "/v1/webhooks/secret", about, options
            if name != "Content-Length":
                yield "POST /v1/jobs", "/v1/jobs", about, {**options, "json": _PROMPT}
                yield "POST /v1/images", "/v1/images", about, {**options, "json": _PROMPT}


def _paths() -> Iterator[Request]:
    for path in _PATHS:
        for segment in _SEGMENTS:
            yield "GET (a path)", path.format(segment), f"{path} {segment[:20]}", {}
    for query in (
        "?",
        "?a=" + "b" * 5000,
        "?" + "a&" * 5000,
        "?cursor=%00",
        "?limit=1e9",
        "?status=%ff",
        "?limit=1&limit=2",
    ):
        yield "GET /v1/jobs", f"/v1/jobs{query}", f"query {query[:20]}", {}


def _methods(documented: Documented) -> Iterator[Request]:
    for operation in documented.operations:
        path = operation.partition(" ")[2].replace("{", "").replace("}", "")
        for method in ("TRACE", "CONNECT", "PROPFIND", "OPTIONS", "ODD"):
            yield f"{method} (a method)", path, method, {}


def _streams(sender: Sender) -> None:
    """Streams without end: whatever was seen last, the first bytes come at once."""
    for stream_id in _STREAM_IDS:
        for options in (
            {"headers": [(b"Last-Event-ID", stream_id.encode())]},
            {"params": {"last_event_id": stream_id}},
        ):
            sender.send_endless("GET /v1/events", "/v1/events", f"last event {stream_id[:30]}", **options)


def _strangers(sender: Sender) -> None:
    """Refused: requests that another site's page can make a browser send, by its name for this server or its form."""
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example"):
        answer = sender.send("GET /v1/webhooks/secret", "/v1/webhooks/secret", host, headers={"Host": host})
        _refused(sender, answer, "a foreign name is refused", host)
    for headers in _FOREIGN_PAGES:
        for path in ("/v1/images?prompt=a&steps=1", "/sdapi/v1/interrupt", "/v1/jobs"):
            operation = f"POST {path.partition('?')[0]}"
            answer = sender.send(operation, path, "a foreign page", headers=headers)
            _refused(sender, answer, "a foreign page is refused", str(headers))


def _refused(sender: Sender, answer: httpx.Response | None, check: str, about: str) -> None:
    if answer is not None and answer.is_success:
        message = f"{about!r}: it was answered with {answer.status_code}"
        sender.found(check, f"{answer.request.method} {answer.request.url.path}", message, answer.request)


def _heads(sender: Sender) -> None:
    """HEAD is served wherever GET is, with the same status and no body."""
    paths = [each.partition(" ")[2] for each in sender.documented.operations if each.startswith("GET")]
    for path in (*paths, *_PAGES):
        if path == "/v1/events":
            continue
        operation, real = f"GET {path}", path.replace("{", "").replace("}", "")
        got = sender.send(operation, real, "before HEAD")
        head = sender.send(f"HEAD {path}", real, "HEAD")
        if got is not None and head is not None and (head.status_code != got.status_code or head.content):
            message = f"{path!r}: HEAD is answered {head.status_code}, GET {got.status_code}"
            sender.found("HEAD as GET", "HEAD", message, head.request)
