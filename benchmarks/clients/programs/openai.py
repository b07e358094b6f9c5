"""``openai``, the official Python client, which checks here that every answer has the type that it declares."""

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import openai

from benchmarks.clients.programs.calls import KEY, PROMPT, URL, call, fetched, kind, raised, refused, size

MODEL = "pocket"
client = openai.OpenAI(
    base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=120, _strict_response_validation=True
)
stranger = openai.OpenAI(base_url=f"{URL}/v1", api_key="sk-stranger", max_retries=0)
few = {"steps": 3}


@call("images.generate")
def generate() -> None:
    answer = client.images.generate(prompt=PROMPT, n=2, size="64x64", extra_body=few)
    assert [size(picture.b64_json or "") for picture in answer.data or ()] == [(64, 64)] * 2


@call("images.generate with every option of OpenAI's, for models of other names")
def generate_with_options() -> None:
    for model, options in (
        ("dall-e-2", {"size": "64x64", "user": "me"}),
        ("dall-e-3", {"style": "vivid", "quality": "hd", "size": "auto"}),
        (
            "gpt-image-1",
            {"background": "opaque", "moderation": "low", "output_format": "webp", "quality": "low"},
        ),
        ("gpt-image-1", {"background": "transparent", "output_format": "jpeg", "output_compression": 80}),
    ):
        asked: Any = {"model": model, "prompt": PROMPT, "extra_body": few, **options}
        answer = client.images.generate(**asked)
        assert [kind(picture.b64_json or "") for picture in answer.data] == [
            options.get("output_format", "png")
        ]


@call("images.generate with response_format url")
def generate_url() -> None:
    answer = client.images.generate(prompt=PROMPT, size="64x64", response_format="url", extra_body=few)
    (picture,) = answer.data or []
    assert size(fetched(picture.url or "")) == (64, 64)


@call("images.generate with stream")
def generate_stream() -> None:
    stream = client.images.generate(
        prompt=PROMPT, size="64x64", stream=True, partial_images=2, extra_body={"steps": 20}
    )
    events = list(stream)
    assert events[-1].type == "image_generation.completed"
    assert size(events[-1].b64_json) == (64, 64)
    assert {event.type for event in events[:-1]} <= {"image_generation.partial_image"}


@call("images.edit with a mask")
def edit() -> None:
    with Path("table.png").open("rb") as table, Path("mask.png").open("rb") as mask:
        answer = client.images.edit(image=table, mask=mask, prompt=PROMPT, n=2, extra_body=few)
    assert len(answer.data or ()) == 2


@call("images.edit without a mask, of bytes and with input_fidelity")
def edit_whole() -> None:
    picture = ("table.png", BytesIO(Path("table.png").read_bytes()), "image/png")
    answer = client.images.edit(
        image=picture, prompt=PROMPT, model="gpt-image-1", input_fidelity="high", size="64x64", extra_body=few
    )
    assert len(answer.data or ()) == 1


@call("images.edit with stream")
def edit_stream() -> None:
    with Path("table.png").open("rb") as table:
        stream = client.images.edit(image=table, prompt=PROMPT, stream=True, partial_images=1, extra_body=few)
        *_, last = stream
    assert last.type == "image_edit.completed"


@call("images.edit with a list of one picture")
def edit_list() -> None:
    with Path("table.png").open("rb") as table:
        answer = client.images.edit(image=[table], prompt=PROMPT, extra_body=few)
    assert len(answer.data or ()) == 1


@refused(
    "images.edit with several pictures",
    page="openai.md#edits-and-variations",
    says="every model here starts from one",
)
def edit_several() -> None:
    with Path("table.png").open("rb") as table, Path("pear.png").open("rb") as pear:
        client.images.edit(image=[table, pear], prompt=PROMPT)


@call("images.create_variation")
def variation() -> None:
    with Path("table.png").open("rb") as table:
        answer = client.images.create_variation(image=table, n=2, size="64x64", extra_body=few)  # type: ignore[arg-type]
    assert len(answer.data or ()) == 2


@call("async images.generate")
async def generate_async() -> None:
    async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY) as patient:
        answer = await patient.images.generate(prompt=PROMPT, size="64x64", extra_body=few)
    assert base64.b64decode((answer.data or [])[0].b64_json or "")


@call("models.list and models.retrieve")
def models() -> None:
    assert MODEL in {model.id for model in client.models.list()}
    assert client.models.retrieve("dall-e-3").id == MODEL


@call("errors: BadRequestError, NotFoundError, AuthenticationError")
def errors() -> None:
    wrong = raised(openai.BadRequestError, lambda: client.images.generate(prompt=PROMPT, size="7x7"))
    assert (wrong.code, wrong.param) == ("invalid_request", "size")
    missing = raised(openai.NotFoundError, lambda: client.images.generate(prompt=PROMPT, model="nobody"))
    assert missing.code == "model_not_found"
    raised(openai.AuthenticationError, lambda: stranger.images.generate(prompt=PROMPT))


@refused("models.delete", page="openai.md", says="does not take DELETE")
def delete_model() -> None:
    client.models.delete(MODEL)


@refused("chat.completions.create", page="openai.md", says="nothing is at /v1/chat/completions")
def chat() -> None:
    client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hello"}])
