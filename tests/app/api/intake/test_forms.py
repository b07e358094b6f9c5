"""Texts of queries and forms, whatever they are encoded in."""

import asyncio
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import Request
from starlette.testclient import TestClient

from app.api.intake.bodies import UnsupportedMediaTypeError
from app.api.intake.fields import read_request
from app.api.intake.forms import MAX_FIELDS, InvalidFormError, lenient_pairs, pairs_of
from jobs.errors import InvalidRequestError
from jobs.requests.tasks import ScoreTask
from tests.app.api.problems.test_handlers import problem
from tests.app.played_worker import PlayedWorker
from tests.app.samples import png

TEXT = "ein roter Ärmel 日本 🍎, 100% + mehr"
RAW = TEXT.replace("%", "%25").replace("+", "%2B").encode()
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"


def multipart(prompt: bytes, name: bytes = b"prompt") -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n--b--\r\n' % (name, prompt)


def request(body: bytes = b"", kind: str = FORM, query: bytes = b"") -> Request:
    """A request as the server hands it on."""
    headers = [(b"content-type", kind.encode())]
    scope: MutableMapping[str, Any] = {"type": "http", "headers": headers, "query_string": query}

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body}

    return Request(scope, receive)


def prompt_of(sent: Request) -> str:
    return asyncio.run(read_request(sent)).prompt


@pytest.mark.parametrize(
    "sent",
    [
        request(b"prompt=" + RAW),
        request(b"prompt=" + quote(TEXT).encode()),
        request(multipart(TEXT.encode()), MULTIPART),
        request(multipart(TEXT.encode()), 'multipart/form-data; charset="UTF-8"; boundary="b"'),
        request(query=b"prompt=" + RAW),
        request(query=b"prompt=" + quote(TEXT).encode()),
    ],
    ids=["form", "escaped form", "multipart", "multipart that says UTF-8", "query", "escaped query"],
)
def test_every_letter_arrives_as_it_was_meant(sent: Request) -> None:
    assert prompt_of(sent) == TEXT


@pytest.mark.parametrize(
    "sent",
    [
        request(b"prompt=%C4rmel", f"{FORM}; charset=ISO-8859-1"),
        request("prompt=Ärmel".encode("latin-1"), f"{FORM}; charset=iso-8859-1"),
        request(multipart("Ärmel".encode("cp1252")), f'{MULTIPART}; charset="windows-1252"'),
    ],
)
def test_who_says_that_a_form_is_in_latin_1_is_believed(sent: Request) -> None:
    assert prompt_of(sent) == "Ärmel"


@pytest.mark.parametrize("charset", ["punycode", "utf-16", "utf-7", "unicode_escape", "no-such", "x" * 400])
@pytest.mark.parametrize("kind", [FORM, MULTIPART])
def test_other_encodings_of_text_are_refused(kind: str, charset: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="send it in UTF-8"):
        prompt_of(request(multipart(b"a"), f"{kind}; charset={charset}"))


@pytest.mark.parametrize(
    "sent",
    [
        request(b"prompt=\xc4rmel"),
        request(b"prompt=%C4rmel"),
        request(b"prompt=%ED%A0%80"),
        request(multipart("Ärmel".encode("latin-1")), MULTIPART),
        request(query=b"prompt=%E9"),
        request(query=b"prompt=\xe9&steps=2"),
    ],
)
def test_text_that_is_not_utf_8_is_refused_and_never_guessed(sent: Request) -> None:
    with pytest.raises(InvalidRequestError, match="the text is not UTF-8: byte 0x") as caught:
        prompt_of(sent)
    assert caught.value.field == "prompt"


def test_nor_is_the_name_of_a_field_guessed() -> None:
    for sent in (request(b"prompt=a&%C4=1"), request(multipart(b"a", b"\xc4"), MULTIPART)):
        with pytest.raises(InvalidRequestError, match="not UTF-8"):
            prompt_of(sent)


def test_letters_are_unescaped_as_browsers_escape_them() -> None:
    pairs = list(pairs_of(b"a=1+2%2B3&b=100%&c=%zz&&d&e=x=y&%C3%A4=%F0%9F%8D%8E"))
    assert pairs == [("a", "1 2+3"), ("b", "100%"), ("c", "%zz"), ("d", ""), ("e", "x=y"), ("ä", "🍎")]


def test_fields_and_escapes_are_counted_before_any_is_read() -> None:
    for encoded in (b"&".join([b"a=1"] * (MAX_FIELDS + 1)), b"&" * 10**6, b"a=" + b"%41" * 300_000):
        with pytest.raises(InvalidRequestError, match="are more than the"):
            list(pairs_of(encoded))
    assert len(list(pairs_of(b"&".join([b"a=1"] * MAX_FIELDS)))) == MAX_FIELDS


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"--b", "multipart/form-data"),
        (b"nonsense", 'multipart/form-data; boundary=""'),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\na\r\n--b--\r\n", MULTIPART),
        (b"--b nonsense", MULTIPART),
    ],
)
def test_a_damaged_form_is_said_to_be_one(client: TestClient, body: bytes, kind: str) -> None:
    with pytest.raises(InvalidFormError, match="the form cannot be read"):
        prompt_of(request(body, kind))
    for path in ("/v1/images", "/v1/scores", "/v1/search", "/v1/aesthetic-embeddings/import"):
        problem(client.post(path, content=body, headers={"Content-Type": kind}), 400, "invalid_form")


def test_a_form_of_more_parts_than_are_read_is_refused(client: TestClient) -> None:
    for path, parts in (("/v1/images", 101), ("/v1/scores", 601)):
        body = multipart(b"1", b"jobs").removesuffix(b"--b--\r\n") * parts + b"--b--\r\n"
        answer = client.post(path, content=body, headers={"Content-Type": MULTIPART})
        assert "Too many fields" in problem(answer, 422, "invalid_request")["detail"]


@pytest.mark.parametrize("way", ["multipart", "urlencoded"])
def test_forms_with_files_are_read_alike(client: TestClient, worker: PlayedWorker, way: str) -> None:
    files = {"pictures": ("ä.png", png(), "image/png")}
    if way == "multipart":
        answer = client.post("/v1/scores", data={"prompt": TEXT}, files=files)
    else:
        done = client.post("/v1/jobs", json={"prompt": "a"}).json()["id"]
        worker.succeed(done)
        body = b"jobs=%s&prompt=" % done.encode() + RAW
        answer = client.post("/v1/scores", content=body, headers={"Content-Type": FORM})
    assert answer.status_code == 202, answer.text
    task = worker.claim(answer.json()["id"]).request
    assert isinstance(task, ScoreTask)
    assert task.prompt == TEXT


def test_forms_with_files_refuse_what_is_not_utf_8_alike(client: TestClient) -> None:
    for body, kind in ((b"prompt=%E9", FORM), (multipart(b"\xe9"), MULTIPART)):
        answer = client.post("/v1/scores", content=body, headers={"Content-Type": kind})
        document = problem(answer, 422, "invalid_request")
        assert [error["field"] for error in document["errors"]] == ["prompt"]


def test_a_file_is_called_by_its_name_in_utf_8(client: TestClient) -> None:
    for name, shown in (("Ärmel.png".encode(), "Ärmel.png"), (b"\xc4.png", "\N{REPLACEMENT CHARACTER}.png")):
        body = (
            b'--b\r\nContent-Disposition: form-data; name="pictures"; filename="%s"\r\n\r\nx\r\n--b--\r\n'
            % name
        )
        answer = client.post("/v1/scores", content=body, headers={"Content-Type": MULTIPART})
        assert shown in problem(answer, 422, "invalid_file")["detail"]


def test_every_query_is_read_as_utf_8(client: TestClient) -> None:
    assert lenient_pairs("q=Ärmel&limit=2".encode()) == [("q", "Ärmel"), ("limit", "2")]
    answer = client.get("/v1/search?q=%E9")
    document = problem(answer, 422, "invalid_request")
    assert (document["errors"][0]["field"], "not UTF-8" in document["detail"]) == ("q", True)
    assert client.get("/healthz?x=%E9&" + "x&" * 5000).status_code == 200
