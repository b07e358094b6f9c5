"""LangChain for Python: the wrapper of DALL-E in ``langchain-community``."""

from langchain_community.utilities.dalle_image_generator import DallEAPIWrapper

from benchmarks.clients.programs.calls import KEY, PROMPT, URL, call, fetched, kind


@call("DallEAPIWrapper.run")
def run() -> None:
    draw = DallEAPIWrapper(model="dall-e-3", size="64x64", base_url=f"{URL}/v1", api_key=KEY)
    address = draw.run(PROMPT)
    assert kind(fetched(address)) == "png"


@call("DallEAPIWrapper.run with quality and n")
def run_more() -> None:
    draw = DallEAPIWrapper(
        model="dall-e-2", n=2, size="64x64", quality="hd", base_url=f"{URL}/v1", api_key=KEY
    )
    assert len(draw.run(PROMPT).split("\n")) == 2
