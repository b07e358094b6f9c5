"""``litellm``, one interface to many services; this one is an ``openai/`` model at an address."""

from functools import partial
from pathlib import Path

import litellm

from benchmarks.clients.programs.calls import KEY, PROMPT, URL, call, raised, size

WHERE = {"api_base": f"{URL}/v1", "api_key": KEY}


@call("image_generation")
def generate() -> None:
    answer = litellm.image_generation(model="openai/pocket", prompt=PROMPT, n=2, size="64x64", **WHERE)
    assert [size(picture.b64_json) for picture in answer.data] == [(64, 64)] * 2


@call("image_generation of dall-e-3 with style and quality")
def generate_with_options() -> None:
    answer = litellm.image_generation(
        model="openai/dall-e-3", prompt=PROMPT, size="64x64", style="vivid", quality="standard", **WHERE
    )
    assert len(answer.data) == 1


@call("aimage_generation")
async def generate_async() -> None:
    answer = await litellm.aimage_generation(model="openai/pocket", prompt=PROMPT, size="64x64", **WHERE)
    assert len(answer.data) == 1


@call("image_edit with a mask")
def edit() -> None:
    with Path("table.png").open("rb") as table, Path("mask.png").open("rb") as mask:
        answer = litellm.image_edit(
            model="openai/gpt-image-1", image=table, mask=mask, prompt=PROMPT, **WHERE
        )
    assert size(answer.data[0].b64_json) == (64, 64)


@call("image_variation")
def variation() -> None:
    with Path("table.png").open("rb") as table:
        answer = litellm.image_variation(model="openai/dall-e-2", image=table, n=1, **WHERE)
    assert len(answer.data) == 1


@call("errors: BadRequestError, AuthenticationError")
def errors() -> None:
    for wanted, more in (
        (litellm.BadRequestError, {"size": "7x7"}),
        (litellm.AuthenticationError, {"api_key": "sk-stranger"}),
    ):
        asked = {"model": "openai/pocket", "prompt": PROMPT, **WHERE, **more}
        raised(wanted, partial(litellm.image_generation, **asked))
