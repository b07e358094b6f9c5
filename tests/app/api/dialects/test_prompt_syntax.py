"""The syntax in which each dialect's prompts are read."""

import httpx
import pytest

from jobs.prompts.prompt import LongPrompt, PromptSyntax
from tests.app.api.dialects.conftest import FirstJob

PROMPT = "a (red:1.3) apple AND a [box:0.5]"
TOLD = {"prompt": PROMPT}


def test_the_web_uis_routes_read_its_syntax(url: str, working: None, first_job: FirstJob) -> None:
    assert httpx.post(f"{url}/sdapi/v1/txt2img", json=TOLD, timeout=60).status_code == 200
    request = first_job().generation
    assert (request.prompt_syntax, request.long_prompt) == (PromptSyntax.A1111, LongPrompt.CHUNK)
    assert (request.prompt, request.words, request.rows) == (PROMPT, "a red apple, a box", 3)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/images/generations", {**TOLD, "size": "64x64"}),
        ("/v1/models/lodestar/pocket/predictions", {"input": TOLD}),
        ("/v1/images", TOLD),
    ],
)
def test_other_routes_read_a_prompt_as_it_stands(
    url: str, path: str, body: dict[str, object], working: None, first_job: FirstJob
) -> None:
    httpx.post(f"{url}{path}", json=body, timeout=60, headers={"Prefer": "wait=1"}).raise_for_status()
    request = first_job().generation
    assert (request.prompt_syntax, request.words, request.rows) == (PromptSyntax.PLAIN, PROMPT, 2)
