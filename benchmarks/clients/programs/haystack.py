"""Haystack's component for OpenAI's images."""

from haystack.components.generators import OpenAIImageGenerator
from haystack.utils import Secret

from benchmarks.clients.programs.calls import KEY, PROMPT, URL, call, size


@call("OpenAIImageGenerator.run")
def run() -> None:
    generator = OpenAIImageGenerator(
        model="gpt-image-2", size="64x64", api_key=Secret.from_token(KEY), api_base_url=f"{URL}/v1"
    )
    generator.warm_up()
    result = generator.run(PROMPT)
    assert size(result["images"][0]) == (64, 64)
    assert isinstance(result["revised_prompt"], str)
