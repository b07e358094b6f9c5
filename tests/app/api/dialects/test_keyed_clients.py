"""The unmodified clients of each dialect, and curl, with a key each."""

import json
import subprocess
from typing import Any

import httpx
import openai
import pytest
from replicate.exceptions import ReplicateError

from app.api.settings import ApiSettings
from jobs.callers.scopes import Scope
from jobs.requests.request import GenerateRequest
from lodestar.client import Client
from lodestar.errors import RefusedError
from tests.app.api.dialects import test_a1111, test_replicate
from tests.app.conftest import MakeKey

PROMPT = "a red apple"


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    """Settings of an API that asks for keys."""
    return settings.model_copy(update={"auth": "keys"})


@pytest.fixture
def key(make_key: MakeKey) -> str:
    """The key of a client."""
    return make_key()


def test_openai_s_client_sends_its_api_key(url: str, key: str, make_key: MakeKey, working: None) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        answer = client.images.generate(prompt=PROMPT, response_format="b64_json")
        assert answer.data is not None
        assert answer.data[0].b64_json
        assert [model.id for model in client.models.list()] == ["pocket", "big"]
    stranger = openai.OpenAI(base_url=f"{url}/v1", api_key="sk-none", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError) as refused:
        stranger.images.generate(prompt=PROMPT)
    assert refused.value.code == "invalid_api_key"
    reader = openai.OpenAI(base_url=f"{url}/v1", api_key=make_key(Scope.JOBS_READ), max_retries=0)
    with reader, pytest.raises(openai.PermissionDeniedError, match="jobs:write"):
        reader.images.generate(prompt=PROMPT)


def test_replicate_s_client_sends_its_token_and_fetches_the_pictures_with_it(
    url: str, key: str, working: None
) -> None:
    with test_replicate.client_of(url, token=key) as client:
        (output,) = client.run(test_replicate.MODEL, input={"prompt": PROMPT})
        assert test_replicate.opened(output.read()).size == (64, 64)
    headers = {"Authorization": f"Bearer {key}"}
    (prediction,) = httpx.get(f"{url}/v1/predictions", headers=headers).json()["results"]
    (address,) = prediction["output"]
    assert httpx.get(address).status_code == 401
    assert test_replicate.opened(httpx.get(address, headers=headers).content).size == (64, 64)
    with test_replicate.client_of(url) as client, pytest.raises(ReplicateError) as refused:
        client.predictions.create(version="pocket", input={"prompt": PROMPT})
    assert refused.value.status == 401


def test_a1111_s_client_sends_a_user_name_and_a_password(url: str, key: str, working: None) -> None:
    with test_a1111.client_of(url, username="anyone", password=key) as client:
        assert client.txt2img(prompt=PROMPT, width=64, height=64).image.size == (64, 64)
        assert client.get_progress()["progress"] == 0
    with test_a1111.client_of(url) as client, pytest.raises(RuntimeError, match="401"):
        client.txt2img(prompt=PROMPT, width=64, height=64)


def curl(*words: str) -> tuple[int, Any]:
    done = subprocess.run(
        ["curl", "-s", "-w", "\n%{http_code}", *words], capture_output=True, text=True, timeout=60, check=True
    )
    body, _, code = done.stdout.rpartition("\n")
    return int(code), json.loads(body)


@pytest.mark.parametrize("form", ["Authorization: Bearer {}", "Authorization: Key {}", "X-API-Key: {}"])
def test_curl_sends_a_header(url: str, key: str, form: str) -> None:
    assert curl(f"{url}/v1/jobs", "-H", form.format(key))[0] == 200
    assert curl(f"{url}/v1/jobs", "-H", form.format("lsk_none"))[0] == 401


def test_curl_sends_a_user(url: str, key: str) -> None:
    assert curl(f"{url}/v1/jobs", "-u", f"me:{key}")[0] == 200


def test_our_own_client_sends_its_key(url: str, key: str) -> None:
    with Client(url, key=key) as client:
        job = client.submit(GenerateRequest(prompt=PROMPT))
        assert client.jobs.cancel(job.id).id == job.id
        assert next(client.jobs.events(job.id)).name == "snapshot"
    with Client(url) as client, pytest.raises(RefusedError, match="needs a key"):
        client.jobs.list()
