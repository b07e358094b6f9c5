"""Ids, names and cursors that no server has given out: each route refuses them, and none hands them on unread."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import NOUNS
from jobs.callers.audit import AuditEntry, AuditLog
from tests.app.conftest import LocalClient

WORDS = {
    "nothing but a blank": b" ",
    "the first id": b"0-0",
    "less than any": b"-",
    "more than any": b"+",
    "the last": b"$",
    "an open end": b"(1-1",
    "too large an id": b"18446744073709551616-0",
    "the largest id": b"18446744073709551615-18446744073709551615",
    "a million digits less": b"9" * 5000,
    "no number": b"nan",
    "NUL": b"a\0b",
    "a line": b"a\r\nb: c",
    "half of a pair": b"\xed\xa0\x80",
    "no text": b"\xff\xfe",
    "letters": "١٢é🍎".encode(),
    "a pattern": b"*[a-z]?{x}",
    "a way up": b"../../etc/passwd",
    "long": b"a" * 20_000,  # as much as an address may have, in each of three parts
}
ENDLESS = {"/v1/events"}
WAITING = {"/v1/search"}  # for a worker, whatever the text
LONGEST_REFUSAL = 2000


def paths() -> Iterator[tuple[str, str]]:
    """Method and path of every route with a parameter, other services' included."""
    for noun in NOUNS:
        for route in noun.router.routes:
            if "{" in route.path:
                yield from ((method, route.path) for method in sorted(route.methods - {"HEAD"}))


def filled(path: str, word: str) -> str:
    parts = path.split("/")
    return "/".join(word if part.startswith("{") else part for part in parts)


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_a_path_with_such_a_word_is_refused_in_few_words(client: LocalClient, word: bytes) -> None:
    asked = 0
    for method, path in paths():
        answer = client.request(method, filled(path, quote_from_bytes(word, safe="")))
        assert answer.status_code < 500 or answer.status_code == 501, (path, answer.text)
        if answer.is_error:
            assert len(answer.content) < LONGEST_REFUSAL, path
        asked += 1
    assert asked > 40


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_a_query_with_such_a_word_is_answered(client: LocalClient, word: bytes) -> None:
    document: dict[str, Any] = client.app.openapi()  # type: ignore[attr-defined]
    asked = 0
    for path, verbs in document["paths"].items():
        if path in ENDLESS | WAITING or "get" not in verbs:
            continue
        for parameter in verbs["get"].get("parameters", ()):
            if parameter["in"] == "query":
                query = f"{parameter['name']}={quote_from_bytes(word, safe='')}"
                answer = client.get(f"{path.replace('{', '').replace('}', '')}?{query}")
                assert answer.status_code < 500, (path, query[:100], answer.text)
                asked += 1
    assert asked > 20


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/audit"])
def test_a_cursor_that_no_page_gave_is_refused_by_its_name(
    client: LocalClient, redis: Redis, path: str, word: bytes
) -> None:
    AuditLog(redis).add(AuditEntry(action="job.deleted", target="a"))
    client.post("/v1/jobs", json={"prompt": "a"})
    answer = client.get(f"{path}?cursor={quote_from_bytes(word, safe='')}")
    if (path, word) == ("/v1/audit", b"0-0"):  # a place in the stream, before all that is there
        assert (answer.status_code, answer.json()["data"]) == (200, [])
        return
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"] == "cursor"
    assert len(answer.content) < LONGEST_REFUSAL


@pytest.mark.parametrize("word", [each.decode(errors="replace") for each in WORDS.values()], ids=WORDS)
def test_so_is_one_in_a_call_for_many_jobs(client: LocalClient, word: str) -> None:
    for verb in ("cancel", "delete", "retry"):
        answer = client.post(f"/v1/jobs/{verb}", json={"status": ["failed"], "cursor": word})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")
        answer = client.post(f"/v1/jobs/{verb}", json={"ids": [word]})
        assert answer.status_code in {200, 422}
        assert answer.json().get("data", []) == []


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_an_event_that_never_was_is_as_one_that_is_no_longer_kept(client: TestClient, word: bytes) -> None:
    job_id = client.post("/v1/jobs", json={"prompt": "a"}).json()["id"]
    client.post(f"/v1/jobs/{job_id}/cancel")  # so that the stream ends
    path = f"/v1/jobs/{job_id}/events"
    escaped = quote_from_bytes(word, safe="")
    for answer in (
        client.get(path, headers=[(b"Last-Event-ID", word)]),
        client.get(f"{path}?last_event_id={escaped}"),
    ):
        assert answer.status_code == 200
        assert "event: done" in answer.text
