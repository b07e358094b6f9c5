"""A tiny SDXL through the real stack, over HTTP."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from jobs.requests.request import GenerateRequest
from tests.integration.stack import Stack
from tests.worker.models.families.xl import PX, xl_folder

ENTRY = """
[models.xl]
path = "{folder}"
family = "sdxl"
clip = "pocket-m"
text_clip = "pocket-s"
width = {px}
height = {px}
min_px = {px}
max_px = 64
"""


@pytest.fixture
def stack(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """The stack with one more model in its catalog, which it reads anew."""
    catalog, earlier = stack.data_dir / "models.toml", tmp_path / "earlier.toml"
    shutil.copy(catalog, earlier)
    entry = ENTRY.format(folder=xl_folder(tmp_path / "xl"), px=PX)
    (tmp_path / "later.toml").write_text(earlier.read_text() + entry)
    (tmp_path / "later.toml").replace(catalog)
    yield stack
    earlier.replace(catalog)


def test_it_draws_from_texts_and_pictures_with_stated_sizes(stack: Stack) -> None:
    def picture(**fields: object) -> tuple[str, bytes]:
        asked = {"model": "xl", "prompt": "a red apple", "seed": 7, "steps": 4, **fields}
        job = stack.finish(stack.client.submit(GenerateRequest.model_validate(asked)).id)
        assert job.status == "succeeded", job.error
        return job.id, stack.client.jobs.image(job.id, 0)

    info = {each["id"]: each for each in httpx.get(f"{stack.url}/v1/models").json()["data"]}
    assert (info["xl"]["family"], info["pocket"]["family"]) == ("sdxl", "sd")
    assert (info["xl"]["defaults"]["cfg_scale"], info["xl"]["defaults"]["sampler"]) == (5.0, "euler")
    name, plain = picture()
    assert picture()[1] == plain
    stated = {"original": {"width": 900, "height": 700}, "crop": {"top": 60}}
    others = [
        picture(sizes=stated),
        picture(init={"image": f"{name}/0", "strength": 0.5}),
        picture(guidance={"cutouts": 2}),
        picture(prompt="a (red:1.4) apple, " * 12, prompt_syntax="a1111", negative_prompt="grey"),
        picture(hires={"scale": 2, "strength": 0.5}),
    ]
    assert len({plain, *(content for _, content in others)}) == len(others) + 1
    asked = {"model": "pocket", "prompt": "a red apple", "sizes": stated}
    refused = httpx.post(f"{stack.url}/v1/jobs", json=asked)
    assert refused.status_code == 422
    assert "told no sizes" in refused.text
