"""The one way into every route."""

import gzip
import json
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.testclient import TestClient

from app.api.intake.intake import IntakeRoute
from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.wire import AtMost
from tests.app.api.problems.test_handlers import PROMPT, problem

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
COLLECTIONS = (list, tuple, set, frozenset, dict)


def api_routes(routes: list[Any]) -> Iterator[APIRoute]:
    """All that are ours, of the routes of an app."""
    return (route for route in routes if isinstance(route, APIRoute))


@pytest.fixture
def app(settings: ApiSettings) -> FastAPI:
    """The API."""
    return create_app(settings)


def test_every_route_reads_its_body_in_the_one_way(app: FastAPI) -> None:
    routes = list(api_routes(app.routes))
    assert len(routes) > 60
    assert {route.path for route in routes if not isinstance(route, IntakeRoute)} == set()


def test_every_collection_that_a_body_can_reach_is_counted_before_its_items(app: FastAPI) -> None:
    unbounded: list[str] = []
    seen: set[str] = set()
    for route in api_routes(app.routes):
        for field in route.dependant.body_params:
            info = field.field_info
            places = collections_without_bound(info.annotation, info.metadata, "", seen)
            unbounded += [f"{route.path} {field.name}{place}" for place in places]
    assert unbounded == []
    assert {"GenerateRequest", "Guidance", "Webhook", "TextToImage", "PredictionBody"} <= seen


def collections_without_bound(kind: Any, metadata: list[Any], place: str, seen: set[str]) -> Iterator[str]:
    """Places in a type that hold any number of items, and all of them are looked at."""
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *more = get_args(kind)
        yield from collections_without_bound(inner, [*metadata, *more], place, seen)
    elif origin in (Union, UnionType):
        for choice in get_args(kind):
            yield from collections_without_bound(choice, metadata, place, seen)
    elif kind in COLLECTIONS or origin in COLLECTIONS:
        if not any(isinstance(each, AtMost) for each in metadata):
            yield place
        for item in get_args(kind):
            if item is not Ellipsis:
                yield from collections_without_bound(item, [], f"{place}[]", seen)
    elif isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__name__ not in seen:
        seen.add(kind.__name__)
        seen.update(base.__name__ for base in kind.__mro__)
        for name, field in kind.model_fields.items():
            yield from collections_without_bound(field.annotation, field.metadata, f"{place}.{name}", seen)


def test_the_search_for_unbounded_collections_finds_them() -> None:
    class Inner(BaseModel):
        bounded: Annotated[tuple[int, ...], AtMost(3)] | None = None
        free: list[int] | None = None

    class Outer(BaseModel):
        inner: Annotated[list[Inner], AtMost(2)]
        kind: Literal["a", "b"]
        any: dict[str, Any]

    assert list(collections_without_bound(Outer, [], "", set())) == [".inner[].free", ".any"]


BODIES = {
    "/v1/jobs": PROMPT,
    "/v1/predictions": {"version": "pocket", "input": PROMPT},
    "/v1/models/lodestar/pocket/predictions": {"input": PROMPT},
    "/sdapi/v1/options": {"sd_model_checkpoint": "big"},
}


@pytest.mark.parametrize("path", BODIES)
def test_json_that_curl_calls_a_form_is_taken_for_json(client: TestClient, path: str) -> None:
    content = json.dumps(BODIES[path]).encode()
    as_json, as_form = (
        client.post(path, content=content, headers={"Content-Type": kind}) for kind in (JSON, FORM)
    )
    assert as_json.status_code < 300
    assert as_form.status_code == as_json.status_code


@pytest.mark.parametrize("path", [*BODIES, "/v1/images", "/v1/scores", "/v1/images/generations"])
@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "text/json"])
def test_a_body_that_is_announced_as_neither_json_nor_a_form_is_refused(
    client: TestClient, path: str, kind: str
) -> None:
    content = json.dumps(BODIES.get(path, PROMPT))
    answer = client.post(path, content=content, headers={"Content-Type": kind})
    assert answer.status_code == 415


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/images", "/v1/scores"])
@pytest.mark.parametrize("kind", [JSON, FORM, "multipart/form-data; boundary=b"])
def test_a_compressed_body_is_refused_with_the_reason(client: TestClient, path: str, kind: str) -> None:
    headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
    answer = client.post(path, content=gzip.compress(json.dumps(PROMPT).encode()), headers=headers)
    assert "Content-Encoding: gzip" in problem(answer, 415, "unsupported_media_type")["detail"]


def test_a_body_that_is_said_to_be_as_it_is_is_read(client: TestClient) -> None:
    assert client.post("/v1/jobs", json=PROMPT, headers={"Content-Encoding": "identity"}).status_code == 202


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"prompt": "Ärmel"}'.encode("latin-1"), "the body is not UTF-8: byte 0xc4"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "the body holds a number of more than 4300 digits"),
        (b"[" * 2000, "the body is nested too deep"),
        (b'{"prompt": "a",}', "at character 15"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/images"])
def test_every_route_says_in_the_same_words_why_a_body_is_no_json(
    client: TestClient, path: str, content: bytes, words: str
) -> None:
    answer = client.post(path, content=content, headers={"Content-Type": JSON})
    assert words in problem(answer, 400, "invalid_json")["detail"]


def test_thousands_of_unknown_fields_are_one_error_that_counts_them(client: TestClient) -> None:
    answer = client.post("/v1/jobs", json=dict.fromkeys((f"f{number}" for number in range(50_000)), 0))
    document = problem(answer, 422, "invalid_request")
    assert document["detail"] == "50000 fields are more than the 2000 that a request may have"
    assert [error["limit"] for error in document["errors"]] == [2000]


def test_of_many_errors_the_first_are_told_and_the_rest_is_counted(client: TestClient) -> None:
    answer = client.post("/v1/jobs", json=PROMPT | dict.fromkeys((f"f{number}" for number in range(50)), 0))
    document = problem(answer, 422, "invalid_request")
    assert len(document["errors"]) == 20
    assert document["detail"].endswith("and 45 more")


def test_a_long_list_is_one_error_that_names_it(client: TestClient) -> None:
    for items, limit in ((33, 32), (60_000, 1000), (500_000, 1000)):
        body = {"prompt": "a", "guidance": {"objectives": [0] * items}}
        document = problem(client.post("/v1/jobs", json=body), 422, "invalid_request")
        assert [(error["field"], error["limit"]) for error in document["errors"]] == [
            ("guidance.objectives", limit)
        ]
        assert str(items) in document["detail"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/" + "a" * 60_000, {}),
        ("/" + "a" * 60_000, {"Accept": "text/plain"}),
        ("/sdapi/" + "%00" * 20_000, {}),
        ("/v1/models/" + "a" * 60_000, {}),
        ("/v1/models/a/" + "%F0%9F%8D%8E" * 5000, {}),
        ("/v1/jobs/" + "a" * 60_000, {}),
        ("/v1/aesthetic-embeddings/" + "a" * 60_000, {}),
        ("/v1/jobs/0/previews/" + "9" * 60_000, {}),
        ("/v1/jobs?limit=" + "9" * 60_000, {}),
        ("/v1/jobs?cursor=" + "a" * 60_000, {}),
        ("/v1/jobs?status=" + "a" * 60_000, {}),
        ("/errors/" + "a" * 60_000, {}),
        ("/v1/events", {"Last-Event-ID": "9" * 60_000, "Accept": "text/plain", "X-Request-ID": "a" * 60_000}),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_no_path_or_header_makes_a_refusal_long(
    client: TestClient, path: str, headers: dict[str, str], method: str
) -> None:
    assert len(client.request(method, path, headers=headers).content) < 4096
    if path != "/v1/events":
        assert len(client.get(path, headers=headers).content) < 4096
