"""``curl``, with the key in each form that the service takes."""

import json
import subprocess
from typing import Any

from benchmarks.clients.programs.calls import KEY, PROMPT, URL, call, kind

BODY = json.dumps({"prompt": PROMPT, "steps": 3})
JSON = ("-H", "Content-Type: application/json", "-d", BODY)


def curl(*words: str) -> bytes:
    done = subprocess.run(
        ["curl", "-s", "--fail-with-body", *words], capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def answer(*words: str) -> Any:
    return json.loads(curl(*words))


@call("POST /v1/images with -H 'Authorization: Bearer ...'")
def bearer() -> None:
    assert kind(curl(f"{URL}/v1/images", "-H", f"Authorization: Bearer {KEY}", *JSON)) == "png"


@call("POST /v1/jobs with -H 'X-API-Key: ...'")
def header() -> None:
    assert answer(f"{URL}/v1/jobs", "-H", f"X-API-Key: {KEY}", *JSON)["status"] == "queued"


@call("POST /sdapi/v1/txt2img with -u name:key")
def user() -> None:
    made = answer(f"{URL}/sdapi/v1/txt2img", "-u", f"me:{KEY}", *JSON)
    assert kind(made["images"][0]) == "png"


@call("POST /v1/images/edits with -F image=@file")
def form() -> None:
    files = ("-F", "image=@table.png", "-F", "mask=@mask.png", "-F", f"prompt={PROMPT}", "-F", "steps=3")
    made = answer(f"{URL}/v1/images/edits", "-H", f"Authorization: Bearer {KEY}", *files)
    assert kind(made["data"][0]["b64_json"]) == "png"


@call("GET /v1/jobs without a key: 401")
def stranger() -> None:
    done = subprocess.run(["curl", "-s", f"{URL}/v1/jobs"], capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout)["status"] == 401
