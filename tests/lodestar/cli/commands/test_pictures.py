"""The options of ``generate``, as the job shows them."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from jobs.queue.queue import JobQueue
from jobs.requests.request import ResolvedRequest
from lodestar.cli.generation_options import request_of
from tests.app.conftest import Run

pytestmark = pytest.mark.usefixtures("url")


def submitted(run: Run, queue: JobQueue, *words: str) -> ResolvedRequest:
    assert run("generate", *words, "--wait", "0", "--quiet") == 6
    return queue.list().data[0].generation


def test_the_best_of_many_are_kept(run: Run, queue: JobQueue) -> None:
    request = submitted(run, queue, "a fox", "--best-of", "16", "--keep", "3")
    assert request.select is not None
    assert (request.num_images, request.select.keep) == (16, 3)


def test_a_run_starts_from_a_file(run: Run, queue: JobQueue) -> None:
    Image.new("RGB", (64, 64), "white").save("pear.png")
    request = submitted(run, queue, "a fox", "--init", "pear.png", "--strength", "0.5", "--mask", "pear.png")
    assert request.init is not None
    assert request.mask is not None
    assert request.init.strength == 0.5
    assert request.init.image.digest is not None


def test_the_picture_grows_and_a_part_of_it_is_named(run: Run, queue: JobQueue) -> None:
    Image.new("RGB", (64, 64), "white").save("pear.png")
    start = ("a fox", "--image", "pear.png", "--strength", "1")
    request = submitted(run, queue, *start, "--outpaint", "right=32,down=16")
    assert request.outpaint is not None
    assert request.outpaint.sides == {"left": 0, "right": 32, "up": 0, "down": 16}
    request = submitted(run, queue, *start, "--outpaint", "16")
    assert request.outpaint is not None
    assert set(request.outpaint.sides.values()) == {16}


def test_a_second_pass_and_variations_of_a_seed(run: Run, queue: JobQueue) -> None:
    request = submitted(run, queue, "a fox", "--hires", "2", "--seed", "7", "--variation-seed", "9")
    assert (request.hires, request.variation) != (None, None)
    assert request.hires is not None
    assert (request.hires.width, request.hires.height) == (2 * request.width, 2 * request.height)
    assert request.variation is not None
    assert (request.variation.seed, request.variation.strength) == (9, 0.1)
    request = submitted(run, queue, "a fox", "--variation-strength", "0.3")
    assert request.variation is not None
    assert request.variation.strength == 0.3


def test_pictures_are_prompts(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 64), "white").save("pear.png")
    asked = request_of({"prompt": "a fox", "image_prompt": ["pear.png=0.7", "01ab/0"]})
    first, second = asked.image_prompts
    assert (first.image.data[:4], first.weight) == (b"\x89PNG", 0.7)
    assert (second.image, second.weight) == ("01ab/0", None)
    assert run("generate", "a fox", "--image-prompt", "pear.png") == 2
    assert "no adapter that tells model 'pocket' of pictures" in capsys.readouterr().err


def test_adapters_are_named_with_weights() -> None:
    asked = request_of({"prompt": "a fox", "adapter": ["ink=0.8", "blob", "delft=-1"]})
    assert [(each.name, each.weight) for each in asked.adapters] == [
        ("ink", 0.8),
        ("blob", None),
        ("delft", -1),
    ]


def test_any_field_can_be_set(run: Run, queue: JobQueue) -> None:
    sets = ("--set", "guidance.end=0.8", "--set", "priority=high", "--set", "guidance.preset=fast")
    request = submitted(run, queue, "a fox", *sets)
    assert request.guidance is not None
    assert (request.guidance.end, request.guidance.preset, request.priority) == (0.8, "fast", "high")


def test_a_request_comes_from_a_file_and_options_override_it(run: Run, queue: JobQueue) -> None:
    Path("fox.json").write_text(json.dumps({"prompt": "a fox", "steps": 9, "guidance": {"scale": 0.3}}))
    request = submitted(run, queue, "--request", "fox.json", "--steps", "7", "--cutouts", "8")
    assert (request.prompt, request.steps) == ("a fox", 7)
    assert request.guidance is not None
    assert (request.guidance.scale, request.guidance.cutouts) == (0.3, 8)
    Path("fox.json").write_text(json.dumps({"prompt": "a fox", "guidance": "fast"}))
    guidance = submitted(run, queue, "--request", "fox.json", "--cutouts", "8").guidance
    assert guidance is not None
    assert (guidance.preset, guidance.cutouts) == ("fast", 8)


def test_a_request_comes_from_a_pipe(run: Run, queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"prompt": "a fox"}'))
    assert submitted(run, queue, "--request", "-").prompt == "a fox"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "prompt: Field required"),
        (("a fox", "--set", "steps"), "--set needs FIELD=VALUE, not 'steps'"),
        (("a fox", "--set", "guidance.nope=1"), "guidance.nope: Extra inputs are not permitted"),
        (("a fox", "--image", "list.json", "--outpaint", "right"), "--outpaint needs sides once each"),
        (("a fox", "--image", "list.json", "--outpaint", "up=1,up=2"), "--outpaint needs sides once each"),
        (("a fox", "--image", "list.json", "--outpaint", "lef=1"), "outpaint.lef: Extra inputs"),
        (
            ("a fox", "--image", "list.json", "--outpaint", "up=few"),
            "outpaint.up: Input should be a valid integer",
        ),
        (("a fox", "--best-of", "2", "--keep", "3"), "select"),
        (("a fox", "--no-guide", "--set", "guidance.end=0.8"), "--no-guide contradicts"),
        (("a fox", "--image-prompt", "01ab/0=3"), "image_prompts.0.weight: Input should be less than"),
        (("--request", "missing.json"), "missing.json cannot be read"),
        (("--request", "list.json"), "list.json holds no JSON object"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(
    run: Run, queue: JobQueue, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], complaint: str
) -> None:
    Path("list.json").write_text("[]")
    assert run("generate", *words) == 2
    assert complaint in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert queue.list().data == ()


def test_a_picture_that_is_not_there_is_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "a fox", "--init", "missing.png", "--quiet") == 1
    assert capsys.readouterr().err == "lodestar: cannot read missing.png: No such file or directory\n"


def test_the_request_of_a_job_can_be_sent_again(
    run: Run, queue: JobQueue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = submitted(run, queue, "a fox", "--guide", "--seed", "7")
    capsys.readouterr()
    assert run("jobs", "--json") == 0
    job = json.loads(capsys.readouterr().out)[0]
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(job["request"])))
    again = submitted(run, queue, "--request", "-", "--seed", "8")
    assert again == first.model_copy(update={"seed": 8})
