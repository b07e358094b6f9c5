"""A picture of the service, for readers of the text in it."""

import json
from urllib.request import Request, urlopen

from benchmarks.clients.programs.calls import KEY, PROMPT, URL

REQUEST = {
    "prompt": PROMPT,
    "negative_prompt": "a cat",
    "sampler": "dpmpp_2m",
    "schedule": "karras",
    "steps": 4,
    "cfg_scale": 5.5,
    "seed": 7,
}


def draw() -> bytes:
    """Its PNG file."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    asked = Request(f"{URL}/v1/images", json.dumps(REQUEST).encode(), headers)
    with urlopen(asked, timeout=120) as answer:
        data: bytes = answer.read()
    return data
