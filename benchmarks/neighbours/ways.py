"""The ways in which one caller's job was once able to hold up everybody's."""

import base64
import io
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from benchmarks.neighbours.catalog import ODD_WORD

PASSES = 45  # over the pixels of a progressive file
LONG = {"prompt": "a blue fish", "steps": 250}  # goes on for longer than the neighbours

Request = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """One way of being hostile.

    Attributes:
        hostile: the fourth caller's jobs.
        harmless: those that take their place.
        neighbour: what each of the others asks for.
    """

    hostile: list[Request]
    harmless: list[Request]
    neighbour: Request = field(default_factory=lambda: {"prompt": "a red apple", "steps": 100})


def ways() -> dict[str, Way]:
    """All that are tried: most of them were ways to hold everybody up once."""
    small, large = ({"type": "image", "image": picture} for picture in (_small_picture(), _slow_picture()))
    guided = {**LONG, "num_images": 16, "guidance": {"preset": "laion", "cutouts": 1, "objectives": [small]}}
    short = {"prompt": "a red apple", "steps": 10}  # ends before all have had their share
    fitted = {"embedding": "style", "steps": 100}
    odd = {"model": "odd", "personalization": fitted}
    prompts = [
        f"a {thing}"
        for thing in ("fox", "car", "cat", "tree", "house", "fish", "star", "boat", "bird", "cup")
    ]
    sized = {"width": 128, "height": 128, "num_images": 16}
    return {
        "picture": Way(
            [{**guided, "guidance": {"preset": "laion", "cutouts": 1, "objectives": [large]}}],
            [guided],
            short,
        ),
        "prompt": Way(
            [{**LONG, **odd, "prompt": f"a {ODD_WORD}"}],
            [{**LONG, **odd}],
            {"prompt": "a red apple", "steps": 100, **odd},
        ),
        "personalization": Way(
            [{**LONG, "prompt": prompt, "personalization": fitted} for prompt in prompts],
            [{**LONG, "prompt": prompt} for prompt in prompts],
            short,
        ),
        "upscaling": Way([{**LONG, **sized, "steps": 1, "upscale": {"factor": 4}}], [{**LONG, **sized}]),
    }


def _small_picture() -> str:
    file = io.BytesIO()
    Image.new("L", (64, 64), 128).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _slow_picture() -> str:
    """A small file of as many pixels as are read, and nearly as many passes over them."""
    file = io.BytesIO()
    Image.new("L", (4000, 4000), 128).save(file, "JPEG", progressive=True)
    jpeg, mark = file.getvalue(), b"\xff\xda"
    last = jpeg.rfind(mark)
    scan, end = jpeg[last:-2], jpeg[-2:]
    return base64.b64encode(jpeg[:-2] + scan * (PASSES - jpeg.count(mark)) + end).decode()
