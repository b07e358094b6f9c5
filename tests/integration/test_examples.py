"""Every program of examples/, as it stands, against the real stack."""

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import expect
from standardwebhooks import Webhook

from tests.browser import PATIENCE_MS, overflow_px, running_browser, violations
from tests.integration.stack import PATIENCE_S, ROOT, Stack
from tests.waiting import until

EXAMPLES = ROOT / "examples"
PROMPT = 'noto "red" apple'  # quotes are where a shell script goes wrong


def run(stack: Stack, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LODESTAR_URL": stack.url},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def size_of(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        picture.load()
        return picture.size


def needs(program: str) -> str:
    """The path of a program; skips where it is missing, and fails in CI."""
    if (found := shutil.which(program)) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is missing")
        pytest.skip(f"needs {program}")
    return found


def test_every_example_is_listed_and_run_here() -> None:
    listed, tests = (EXAMPLES / "README.md").read_text(), Path(__file__).read_text()
    names = {file.name for file in EXAMPLES.iterdir() if file.is_file()} - {"README.md"}
    assert names
    for name in names:
        assert f"]({name})" in listed
        assert f'"{name}"' in tests


def test_pair_draws_one_prompt_without_guidance_and_with_it(stack: Stack, tmp_path: Path) -> None:
    done = run(stack, tmp_path, sys.executable, str(EXAMPLES / "pair.py"), PROMPT, "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("seed 3") == 2
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "guided.png").read_bytes()
    refused = run(stack, tmp_path, sys.executable, str(EXAMPLES / "pair.py"), "a", "--preset", "no such")
    assert refused.returncode == 1
    assert refused.stderr.startswith("pair: ")
    assert "preset" in refused.stderr


def test_sweep_lays_out_every_pair_of_values(stack: Stack, tmp_path: Path) -> None:
    options = ("--presets", "fast", "FAST_GREEN", "--scales", "0.1", "0.4")
    done = run(stack, tmp_path, sys.executable, str(EXAMPLES / "sweep.py"), PROMPT, *options)
    assert done.returncode == 0, done.stderr
    assert size_of(tmp_path / "sweep.png") == (2 * 68 - 4, 2 * 68 - 4)
    label = done.stdout.split()[-1]
    assert len(stack.client.jobs.list(label=label).data) == 4


def test_the_program_for_node_follows_a_job_and_saves_its_picture(stack: Stack, tmp_path: Path) -> None:
    node, program = needs("node"), str(EXAMPLES / "generate.mjs")
    done = run(stack, tmp_path, node, program, PROMPT, "apple.png")
    assert done.returncode == 0, done.stderr
    assert "step " in done.stderr
    assert size_of(tmp_path / "apple.png") == (64, 64)
    assert stack.client.jobs.get(done.stdout.split()[-1]).generation.prompt == PROMPT
    refused = run(stack, tmp_path, node, program, "x" * 100_000)
    assert refused.returncode == 1
    assert "/errors/invalid_request" in refused.stderr


def test_curl_draws_at_once_and_by_a_job(stack: Stack, tmp_path: Path) -> None:
    needs("curl")
    done = run(stack, tmp_path, "sh", str(EXAMPLES / "curl.sh"), PROMPT)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.splitlines()[-2:] == ["done", "quick.png and job.png"]
    assert size_of(tmp_path / "quick.png") == size_of(tmp_path / "job.png") == (64, 64)
    (drawn, _) = stack.client.jobs.list(limit=2).data
    assert drawn.generation.prompt == PROMPT


@contextmanager
def receiving(stack: Stack, folder: Path, secret: str) -> Iterator[tuple[str, Path]]:
    """The receiver of webhooks at work: its address, and the file of its output."""
    said = folder / "said.txt"
    command = [sys.executable, str(EXAMPLES / "webhook_receiver.py"), "--port", "0"]
    env = {**os.environ, "LODESTAR_URL": stack.url, "WEBHOOK_SECRET": secret}
    with said.open("w") as output, subprocess.Popen(command, cwd=folder, env=env, stdout=output) as process:
        try:
            until(lambda: "Listening at " in said.read_text(), within_s=PATIENCE_S)
            yield said.read_text().split()[-1], said
        finally:
            process.terminate()


def test_the_receiver_of_webhooks_believes_nobody_without_a_signature(stack: Stack, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "webhook-secret", "--data-dir", str(stack.data_dir)]
    secret = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with receiving(stack, tmp_path, secret) as (address, said):
        job = stack.client.submit(PROMPT, steps=2, webhook=address)
        until(lambda: (tmp_path / f"{job.id}-0.png").exists(), within_s=PATIENCE_S)
        until(lambda: "0.png" in said.read_text(), within_s=PATIENCE_S)
        assert said.read_text().splitlines()[1:] == [f"{job.id} succeeded", f"{job.id}-0.png"]
        body, now = '{"type": "job.done", "data": {"id": "made-up", "status": "failed"}}', datetime.now(UTC)
        headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp()))}
        forged = Webhook("whsec_" + "A" * 32).sign("msg_1", now, body)
        real = Webhook(secret).sign("msg_1", now, body)

        def answered(signature: str, text: str = body) -> int:
            sent = {**headers, "webhook-signature": signature}
            return httpx.post(address, content=text, headers=sent).status_code

        assert [answered(""), answered(forged), answered(real, body + " ")] == [401, 401, 401]
        assert "made-up" not in said.read_text()
        assert [answered(real), answered(real)] == [204, 204]  # as a message that comes twice
        assert said.read_text().count("made-up failed") == 1


@contextmanager
def handed_out(port: int) -> Iterator[None]:
    """The folder of examples, as `python -m http.server` hands it out."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(EXAMPLES))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_a_page_of_an_origin_that_may_draws_and_one_of_another_is_told_why_not(stack: Stack) -> None:
    name = "page.html"
    query = f"{name}?service={stack.url}"
    with handed_out(stack.page_port), running_browser() as browser:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{stack.page_port}/{query}")
        page.get_by_label("Prompt").fill(PROMPT)
        page.get_by_role("button").click()
        expect(page.get_by_role("status")).to_contain_text("succeeded", timeout=5 * PATIENCE_MS)
        assert page.evaluate("document.images[0].decode().then(() => document.images[0].naturalWidth)") == 64
        assert violations(page) == []
        assert overflow_px(page) <= 0
        page.goto(f"http://localhost:{stack.page_port}/{query}")
        page.get_by_role("button").click()
        expect(page.get_by_role("alert")).to_contain_text("LODESTAR_CORS_ORIGINS")


def test_the_application_with_gradio_draws(stack: Stack) -> None:
    gradio = pytest.importorskip("gradio", reason="needs the extra examples")
    spec = importlib.util.spec_from_file_location("gradio_app", EXAMPLES / "gradio_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    plain, guided, seed = module.draw(stack.client, PROMPT, "fast", 5, gradio.Progress())
    assert plain.size == guided.size == (64, 64)
    assert seed == 5
    with pytest.raises(gradio.Error, match="prompt"):
        module.draw(stack.client, "x" * 100_000, "fast", 5, gradio.Progress())
