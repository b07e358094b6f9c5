"""A prompt becomes a guided picture, over HTTP and from the command line."""

import base64
import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from app.cli.demo import PROMPT
from jobs.requests.guidance import Guidance
from jobs.requests.objectives import ImageObjective
from jobs.requests.pictures import Thumbnail, pictures_in
from jobs.requests.request import GenerateRequest
from jobs.status.job import Job, JobStatus
from lodestar.verification import inspect, request_in
from tests.integration.stack import LONG, PATIENCE_S, Stack

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


def test_the_request_in_a_picture_gives_the_same_bytes(stack: Stack, guided: Made) -> None:
    report = inspect(guided.png)
    assert report.mark is not None
    assert (report.mark.model, report.has_request) == ("pocket", True)
    assert make(stack, request_in(guided.png)).png == guided.png


def test_guidance_changes_the_picture(stack: Stack, guided: Made) -> None:
    unguided = make(stack, GUIDED.model_copy(update={"guidance": None}))
    with (
        Image.open(io.BytesIO(unguided.png)) as picture,
        Image.open(io.BytesIO(guided.png)) as guided_picture,
    ):
        assert picture.tobytes() != guided_picture.tobytes()


def test_a_picture_guides_alike_by_whatever_name_it_comes(stack: Stack, guided: Made) -> None:
    headers = {"Content-Type": "image/png"}
    sent = httpx.post(f"{stack.url}/v1/uploads", content=guided.png, headers=headers).raise_for_status()
    upload = sent.json()["data"][0]["id"]
    made = []
    for name in (upload, f"{guided.job.id}/0", base64.b64encode(guided.png).decode()):
        image = ImageObjective(type="image", image=Thumbnail(name))
        made.append(
            make(
                stack,
                GenerateRequest(
                    prompt="", seed=3, steps=3, guidance=Guidance(cutouts=2, objectives=(image,))
                ),
            )
        )
    assert len({each.png for each in made}) == 1
    (shown,) = {str(picture) for each in made for picture in pictures_in(each.job.generation).values()}
    kept = httpx.get(f"{stack.url}/v1/jobs/{made[0].job.id}/inputs/{shown}").raise_for_status().content
    with Image.open(io.BytesIO(kept)) as target, Image.open(io.BytesIO(guided.png)) as picture:
        assert target.tobytes() == picture.tobytes()


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


def test_a_picture_of_a_job_is_the_start_of_another(shared_stack: Stack, guided: Made) -> None:
    def apart(one: bytes, other: bytes) -> float:
        levels = [np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int) for png in (one, other)]
        return float(np.abs(levels[0] - levels[1]).mean())

    fields = {"prompt": "a green pear on a white background", "seed": 5, "steps": 10}
    made = {}
    for strength in (0.2, 0.8, 1.0):
        init = {"image": f"{guided.job.id}/0", "strength": strength}
        made[strength] = make(shared_stack, GenerateRequest.model_validate(fields | {"init": init}))
        assert made[strength].job.progress.steps == round(10 * strength)
    assert apart(made[0.2].png, guided.png) < apart(made[0.8].png, guided.png)
    plain = make(shared_stack, GenerateRequest.model_validate(fields))
    assert apart(made[1.0].png, plain.png) == 0
    kept = made[0.2].job.generation.init
    assert kept is not None
    again = GenerateRequest.model_validate(fields | {"init": {"image": kept.image, "strength": 0.2}})
    assert make(shared_stack, again).png == made[0.2].png


def test_a_part_of_a_picture_is_painted_anew_and_its_other_bytes_stay(
    shared_stack: Stack, guided: Made, tmp_path: Path
) -> None:
    whole = Image.open(io.BytesIO(guided.png)).convert("RGB")
    mask = Image.new("L", whole.size)
    mask.paste(255, (20, 20, 44, 44))
    mask.save(tmp_path / "mask.png")
    whole.save(tmp_path / "whole.png")
    with (tmp_path / "whole.png").open("rb") as picture, (tmp_path / "mask.png").open("rb") as hole:
        answer = httpx.post(
            f"{shared_stack.url}/v1/images",
            data={"prompt": "a blue fish", "seed": "3", "steps": "8", "guidance": "true"},
            files={"init.image": picture, "mask.image": hole},
            headers={"Accept": "image/png"},
            timeout=PATIENCE_S,
        )
    assert answer.status_code == 200, answer.text
    made, own = (
        np.asarray(image.convert("RGB")) for image in (Image.open(io.BytesIO(answer.content)), whole)
    )
    outside = np.asarray(mask) == 0
    assert (made[outside] == own[outside]).all()
    assert (made[~outside] != own[~outside]).mean() > 0.5
