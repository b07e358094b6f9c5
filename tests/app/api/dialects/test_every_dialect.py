"""What holds for all dialects: names of models, bodies without a type, errors, and pages of other sites."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from replicate.client import Client
from replicate.exceptions import ReplicateError
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.queue.queue import JobQueue
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from tests.app.conftest import LocalClient

APPLE = {"prompt": "a red apple"}
CALLS: dict[str, dict[str, Any]] = {
    "/v1/jobs": APPLE,
    "/v1/images": APPLE,
    "/v1/images/generations": APPLE,
    "/sdapi/v1/txt2img": APPLE,
    "/v1/predictions": {"version": "pocket", "input": APPLE},
}


@pytest.fixture
def aliased(settings: ApiSettings) -> Iterator[TestClient]:
    """A client of a catalog whose second model has the names that applications have built in."""
    aliases = '[models.big]\naliases = ["dall-e-3", "stability-ai/sdxl"]'
    settings.models_file.write_text(settings.models_file.read_text().replace("[models.big]", aliases))
    with LocalClient(create_app(settings)) as client:
        yield client


def test_an_alias_names_the_model_in_every_dialect(aliased: TestClient, queue: JobQueue) -> None:
    assert aliased.get("/v1/models/dall-e-3").json()["id"] == "big"
    assert aliased.get("/v1/models/stability-ai/sdxl").json()["name"] == "big"
    assert [model["id"] for model in aliased.get("/v1/models").json()["data"]] == ["pocket", "big"]
    catalog = aliased.app.state.services.catalog  # type: ignore[attr-defined]
    assert resolve(GenerateRequest(prompt="a red apple", model="dall-e-3"), catalog).model == "big"
    for path, body in (
        ("/v1/jobs", {**APPLE, "model": "dall-e-3"}),
        ("/v1/predictions", {"version": "dall-e-3", "input": APPLE}),
        ("/v1/predictions", {"version": "stability-ai/sdxl:dall-e-3", "input": APPLE}),
        ("/v1/models/stability-ai/sdxl/predictions", {"input": APPLE}),
    ):
        answer = aliased.post(path, json=body)
        assert queue.get(answer.json()["id"]).generation.model == "big", path
    assert (
        aliased.post("/sdapi/v1/options", json={"sd_model_checkpoint": "dall-e-3.safetensors"}).status_code
        == 200
    )
    assert aliased.get("/sdapi/v1/options").json()["sd_model_checkpoint"].startswith("big")


@pytest.mark.parametrize("path", CALLS)
def test_a_body_of_no_type_is_json_if_no_browser_sends_it(
    client: TestClient, working: None, path: str
) -> None:
    content = json.dumps(CALLS[path]).encode()  # as requests.post(url, data=json.dumps(...)) does
    assert client.post(path, content=content).status_code < 300
    for headers in ({"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}):
        assert client.post(path, content=content, headers=headers).status_code == 415
    assert client.post(path, content=content, headers={"Content-Type": "text/plain"}).status_code == 415


def is_openais(body: dict[str, Any]) -> bool:
    return body.keys() == {"error"} and body["error"].keys() == {"message", "type", "param", "code"}


def is_replicates(body: dict[str, Any]) -> bool:
    return {"title", "detail", "status", "type"} <= body.keys()


def is_a1111s(body: dict[str, Any]) -> bool:
    return body.keys() == {"error", "detail", "body", "errors"}


@pytest.mark.parametrize(
    ("path", "speaks"),
    [
        ("/sdapi/v1/txt2img", is_a1111s),
        ("/sdapi/v1/options", is_a1111s),
        ("/sdapi/v1/nothing", is_a1111s),
        ("/controlnet/detect", is_a1111s),
        ("/v1/images/generations", is_openais),
        ("/v1/predictions", is_replicates),
        ("/v1/predictions/no-job", is_replicates),
        ("/v1/models/lodestar/pocket/predictions", is_replicates),
        ("/v1/deployments/lodestar/pocket/predictions", is_replicates),
    ],
)
def test_every_error_of_a_path_is_in_its_dialect(client: TestClient, path: str, speaks: Any) -> None:
    """404, 405, 415, 422, 400."""
    answers = [
        client.put(path, json={}),
        client.post(path, content=b"a", headers={"Content-Type": "text/plain"}),
        client.post(path, content=b"{", headers={"Content-Type": "application/json"}),
        client.post(path, json={"n": "x", "width": "x", "sd_model_checkpoint": 3}),
        client.post(path, content=b"x" * (2 << 20), headers={"Content-Type": "application/json"}),
        client.post(path, json={}, headers={"Host": "evil.example"}),
        client.post(path, json={}, headers={"Origin": "https://evil.example"}),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500, answer.text
        assert speaks(answer.json()), answer.text


def test_an_internal_error_is_in_its_dialect_too(settings: ApiSettings, json_logs: object) -> None:
    app = create_app(settings)
    app.state.services.catalog.__dict__["models"] = None
    client = LocalClient(app, raise_server_exceptions=False)
    for path, speaks in (
        ("/sdapi/v1/txt2img", is_a1111s),
        ("/v1/images/generations", is_openais),
        ("/v1/predictions", is_replicates),
    ):
        answer = client.post(path, json=CALLS[path])
        assert answer.status_code == 500
        assert speaks(answer.json()), answer.text


def test_calls_that_no_dialect_has_are_refused_with_a_message(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        for call in (
            lambda: client.chat.completions.create(model="pocket", messages=[]),
            lambda: client.responses.create(model="pocket", input="x"),
            lambda: client.moderations.create(input="x"),
        ):
            with pytest.raises(openai.NotFoundError, match="nothing is at /v1/") as caught:
                call()
            assert (caught.value.code, caught.value.type) == ("not_found", "invalid_request_error")
    other = Client("none", base_url=url)
    with other._client, pytest.raises(ReplicateError, match="nothing is at") as refused:
        other.hardware.list()
    assert refused.value.status == 404


@pytest.mark.parametrize("path", CALLS)
def test_a_page_that_the_operator_names_may_call_every_dialect(settings: ApiSettings, path: str) -> None:
    site = "https://app.example.com"
    with LocalClient(create_app(settings.model_copy(update={"cors_origins": (site,)}))) as client:
        asking = {
            "Origin": site,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
        }
        preflight = client.options(path, headers=asking)
        assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (200, site)
        assert "x-stainless-lang" in preflight.headers["Access-Control-Allow-Headers"].lower()
        answer = client.post(path, json={"steps": 0}, headers={"Origin": site})
        assert answer.headers["Access-Control-Allow-Origin"] == site
        assert "x-should-retry" in answer.headers["Access-Control-Expose-Headers"].lower()
        assert client.options(path, headers={**asking, "Origin": "https://evil.example"}).status_code == 400
