"""``together``, Together AI's Python client."""

from together import Together

from benchmarks.clients.programs.calls import KEY, PROMPT, URL, call, kind

MODEL = "black-forest-labs/FLUX.1-schnell"
client = Together(api_key=KEY, base_url=URL)


@call("images.generate")
def generate() -> None:
    answer = client.images.generate(model=MODEL, prompt=PROMPT, width=64, height=64, steps=4, n=2)
    assert len(answer.data) == 2


@call("images.generate with base64, seed, guidance_scale, output_format")
def generate_with_options() -> None:
    answer = client.images.generate(
        model="pocket",
        prompt=PROMPT,
        negative_prompt="a cat",
        steps=3,
        seed=7,
        guidance_scale=3.5,
        output_format="jpeg",
        response_format="base64",
        disable_safety_checker=True,
    )
    assert kind(answer.data[0].b64_json) == "jpeg"


@call("images.generate with image_url")
def generate_from_picture() -> None:
    first = client.images.generate(model="pocket", prompt=PROMPT, steps=3, response_format="base64")
    address = f"data:image/png;base64,{first.data[0].b64_json}"
    answer = client.images.generate(
        model="pocket", prompt=PROMPT, steps=3, image_url=address, response_format="base64"
    )
    assert kind(answer.data[0].b64_json) == "png"
