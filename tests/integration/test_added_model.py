"""A model of a hub, from nothing to its pictures: through a killed process and a broken connection."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.hub_server import Hosted, Hub, hub_server
from tests.integration.stack import PATIENCE_S, ROOT, Stack
from tests.waiting import until

MIB = 2**20
UNET = "unet/diffusion_pytorch_model.safetensors"
ASKED = {"prompt": "a red apple", "seed": 7, "steps": 4, "cfg_scale": 4, "sampler": "ddim"}


def command(stack: Stack, hub: Hub, *words: str) -> "subprocess.Popen[str]":
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(stack.hub_home), "LODESTAR_DEVICE": "cpu"}
    arguments = [
        sys.executable,
        "-m",
        "app",
        "models",
        *words,
        "--models",
        str(stack.data_dir / "models.toml"),
    ]
    return subprocess.Popen(
        arguments, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, said = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, said


def pixels(stack: Stack, **fields: Any) -> bytes:
    answer = httpx.post(f"{stack.url}/v1/jobs", json={**ASKED, **fields})
    assert answer.status_code == 202, answer.text
    job = stack.finish(answer.json()["id"])
    return Image.open(io.BytesIO(stack.client.jobs.image(job.id, 0))).tobytes()


def partial(stack: Stack) -> int:
    return max((file.stat().st_size for file in stack.hub_home.rglob("*.incomplete")), default=0)


@pytest.mark.slow("starts two processes that import the worker's libraries, beside a stack")
def test_a_model_is_added_by_one_command_that_may_be_killed_and_is_drawn_without_a_restart(
    stack: Stack,
) -> None:
    catalog = stack.data_dir / "models.toml"
    before = catalog.read_text()
    with hub_server() as hub:
        hub.repositories["acme/pocket"] = Hosted(ROOT / "models" / "pocket")
        hub.pause_s = 0.02
        add = ("add", "acme/pocket", "--name", "fetched")
        killed = command(stack, hub, *add)
        until(lambda: partial(stack) > 5 * MIB or killed.poll() is not None, within_s=PATIENCE_S)
        os.killpg(killed.pid, signal.SIGKILL)
        assert ended(killed)[0] == -signal.SIGKILL
        there = partial(stack)
        assert there > 5 * MIB, "only the UNet has as much"
        assert catalog.read_text() == before

        hub.pause_s, hub.breaks = 0, [4 * MIB]
        hub.stored.clear()
        code, out, said = ended(command(stack, hub, *add))
        assert (code, out) == (0, "fetched\n"), said
        begins = [
            int(asked.removeprefix("bytes=")[:-1]) for asked, _ in hub.stored if asked and asked.endswith("-")
        ]
        assert len(begins) >= 2, "it went on after the kill, and after the break"
        assert begins[0] >= 5 * MIB
        assert f"fetched {UNET}" in said
        assert catalog.read_text().startswith(before.rstrip())

    # The hub is gone: all that is read is in the cache.
    assert pixels(stack, model="acme/pocket") == pixels(stack, model="pocket")
    _draw_in_dialects(stack)
    _remove(stack, hub, catalog, before)


def _draw_in_dialects(stack: Stack) -> None:
    """By the id of the hub, as clients have it built in."""
    apple = {"prompt": "a red apple"}
    calls: dict[str, dict[str, Any]] = {
        "/v1/images/generations": {**apple, "model": "acme/pocket", "size": "64x64"},
        "/sdapi/v1/txt2img": {
            **apple,
            **{
                "steps": 2,
                "width": 64,
                "height": 64,
                "override_settings": {"sd_model_checkpoint": "acme/pocket"},
            },
        },
        "/v1/models/acme/pocket/predictions": {"input": {**apple, "num_inference_steps": 2}},
    }
    for path, asked in calls.items():
        answer = httpx.post(
            f"{stack.url}{path}", json=asked, timeout=PATIENCE_S, headers={"Prefer": "wait=60"}
        )
        assert answer.status_code in (200, 201), answer.text
    assert {job.generation.model for job in stack.client.jobs.list(limit=3).data} == {"fetched"}


def _remove(stack: Stack, hub: Hub, catalog: Path, before: str) -> None:
    (unet,) = stack.hub_home.rglob(UNET)
    code, _, said = ended(command(stack, hub, "remove", "fetched", "--files"))
    assert code == 0, said
    assert "from the cache" in said
    assert not unet.exists()
    assert catalog.read_text().rstrip() == before.rstrip()
    refused = httpx.post(f"{stack.url}/v1/jobs", json={**ASKED, "model": "acme/pocket"})
    assert refused.status_code == 422
    assert "'acme/pocket' is not in the catalog" in refused.text
