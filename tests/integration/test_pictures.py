"""A prompt becomes a guided picture, over HTTP and from the command line."""

import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from app.cli.demo import PROMPT, SEED
from jobs.requests.guidance import Guidance
from jobs.requests.request import GenerateRequest
from jobs.status.job import Job, JobStatus
from tests.integration.stack import LONG, PATIENCE_S, ROOT, Stack

GUIDED = GenerateRequest(prompt=PROMPT, seed=11, steps=10, guidance=Guidance(cutouts=8))


@dataclass(frozen=True)
class Made:
    """A finished job and its picture."""

    job: Job
    png: bytes


def make(stack: Stack, request: GenerateRequest) -> Made:
    job = stack.finish(stack.client.submit(request).id)
    return Made(job, stack.client.jobs.image(job.id, 0))


@pytest.fixture(scope="module")
def guided(shared_stack: Stack) -> Made:
    """A guided picture."""
    return make(shared_stack, GUIDED)


def test_a_prompt_becomes_a_guided_picture(guided: Made) -> None:
    with Image.open(io.BytesIO(guided.png)) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (64, 64))
        assert PROMPT in str(picture.info["parameters"])
    assert guided.job.generation.guidance is not None
    assert guided.job.progress.fraction == 1
    assert guided.job.images[0].clip_score is not None


def test_the_same_seed_gives_the_same_bytes(stack: Stack, guided: Made) -> None:
    assert make(stack, GUIDED).png == guided.png


def test_guidance_changes_the_picture(stack: Stack, guided: Made) -> None:
    unguided = make(stack, GUIDED.model_copy(update={"guidance": None}))
    with (
        Image.open(io.BytesIO(unguided.png)) as picture,
        Image.open(io.BytesIO(guided.png)) as guided_picture,
    ):
        assert picture.tobytes() != guided_picture.tobytes()


def test_a_running_job_stops_when_it_is_canceled(stack: Stack, guided: Made) -> None:
    job_id = stack.start_job(LONG)
    stack.client.jobs.cancel(job_id)
    job = stack.client.jobs.wait(job_id, timeout_s=PATIENCE_S)
    assert job.status is JobStatus.CANCELED
    assert 0 < job.progress.step < job.progress.steps
    assert make(stack, GUIDED).png == guided.png


def test_the_command_line_makes_the_same_picture(stack: Stack, guided: Made, tmp_path: Path) -> None:
    options = ["--seed", "11", "--steps", "10", "--cutouts", "8", "--url", stack.url, "-o", "apple.png"]
    done = subprocess.run(
        [sys.executable, "-m", "app", "generate", PROMPT, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "apple.png\n"), done.stderr
    assert (tmp_path / "apple.png").read_bytes() == guided.png


def test_the_demo_leaves_a_picture_and_a_request_to_paste(pocket_model: None, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "demo", "--once", "--models", str(ROOT / "models.toml")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "demo.png") in done.stdout
    assert "curl -s http://127.0.0.1:" in done.stdout
    with Image.open(tmp_path / "demo.png") as picture:
        picture.load()
        assert f"Seed: {SEED}" in str(picture.info["parameters"])
