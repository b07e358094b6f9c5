"""LiteLLM's proxy in front of the service, called by ``openai`` through it."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai

from benchmarks.clients.programs.calls import KEY, PROMPT, URL, call, size

PATIENCE_S = 120
MASTER_KEY = f"sk-{secrets.token_hex(16)}"  # the proxy starts without a strong one only if told to
MODELS = {
    "model_list": [
        {
            "model_name": name,
            "litellm_params": {"model": f"openai/{name}", "api_base": f"{URL}/v1", "api_key": KEY},
            "model_info": {"mode": "image_generation"},
        }
        for name in ("pocket", "gpt-image-1")
    ]
}


@contextlib.contextmanager
def proxy() -> Iterator[str]:
    """Start it; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    Path("litellm.json").write_text(json.dumps(MODELS), encoding="utf-8")  # which is YAML as well
    command = [str(Path(sys.executable).parent / "litellm"), "--config", "litellm.json", "--port", str(port)]
    with Path("proxy.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1"],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": "", "LITELLM_MASTER_KEY": MASTER_KEY},
        )
    try:
        end = time.monotonic() + PATIENCE_S
        while not is_ready(port):
            assert process.poll() is None, Path("proxy.log").read_text()[-2000:]
            assert time.monotonic() < end, "the proxy did not start"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/liveliness", timeout=2).is_success
    except httpx.TransportError:
        return False


with proxy() as address, openai.OpenAI(base_url=f"{address}/v1", api_key=MASTER_KEY, max_retries=0) as client:

    @call("images.generate through it")
    def generate() -> None:
        answer = client.images.generate(model="pocket", prompt=PROMPT, n=2, size="64x64")  # type: ignore[arg-type]
        assert [size(picture.b64_json or "") for picture in answer.data or ()] == [(64, 64)] * 2

    @call("images.edit through it")
    def edit() -> None:
        with Path("table.png").open("rb") as table:
            answer = client.images.edit(model="gpt-image-1", image=table, prompt=PROMPT)
        assert len(answer.data or ()) == 1

    @call("/health of its models")
    def health() -> None:
        answer = httpx.get(
            f"{address}/health", headers={"Authorization": f"Bearer {MASTER_KEY}"}, timeout=60
        ).json()
        assert (answer["healthy_count"], answer["unhealthy_count"]) == (2, 0), answer
