"""``lodestar verify``: what a file carries, and whether the service draws it again."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jobs.pictures.mark import PNG_KEYWORD, Mark
from jobs.queue.queue import JobQueue
from lodestar.verification import inspect, request_again
from tests.app.cli.conftest import settling
from tests.app.conftest import Run
from tests.app.played_worker import PlayedWorker, picture

Finished = Callable[..., tuple[str, bytes]]


@pytest.fixture
def finished(url: str, queue: JobQueue, worker: PlayedWorker, api: Any) -> Finished:
    """Make a job and its picture, as a worker writes it: its id and the PNG file."""

    def finish(**fields: object) -> tuple[str, bytes]:
        job = api.submit("a red apple", seed=3, **fields)
        worker.succeed(job.id)
        return job.id, as_made(picture(64, 64, tint=3), job.request.model_dump_json())

    return finish


def as_made(png: bytes, request: str) -> bytes:
    """The same picture with its request and its mark."""
    chunks = PngInfo()
    chunks.add_itxt(PNG_KEYWORD, Mark(generator="Lodestar 1", model="pocket").packet)
    chunks.add_itxt("parameters", "a red apple\nSteps: 4")
    chunks.add_itxt("lodestar", request)
    out = io.BytesIO()
    Image.open(io.BytesIO(png)).save(out, "PNG", pnginfo=chunks)
    return out.getvalue()


def test_it_says_what_a_file_carries(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "made.png").write_bytes(as_made(picture(8, 8, tint=1), "{}"))
    assert run("verify", "made.png") == 0
    assert capfd.readouterr().out.splitlines() == [
        "format: PNG",
        "mark: trainedAlgorithmicMedia",
        "generator: Lodestar 1",
        "model: pocket",
        "content credentials: none",
        "request: whole",
        "infotext: a red apple",
        "  Steps: 4",
    ]
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.webp")
    assert run("verify", "photo.webp", "--json") == 1
    report = json.loads(capfd.readouterr().out)
    assert (report["mark"], report["credentials"]["state"], report["has_request"]) == (None, "none", False)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.png", None, "cannot read gone.png: No such file or directory"),
        ("text.png", b"hello", "the file is no PNG, JPEG or WebP file"),
    ],
)
def test_what_is_no_picture_is_refused(
    run: Run,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    message: str,
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert run("verify", name) == 1
    assert message in capfd.readouterr().err


def test_the_service_draws_a_picture_again_by_the_request_in_its_file(
    run: Run,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    finished: Finished,
    queue: JobQueue,
    worker: PlayedWorker,
) -> None:
    job_id, png = finished(guidance={"cutouts": 4}, num_images=2)
    (tmp_path / "same.png").write_bytes(png)
    Image.open(io.BytesIO(png)).save(tmp_path / "lossy.webp", quality=80)
    with Image.open(io.BytesIO(png)) as image:
        image.rotate(180).save(tmp_path / "other.png")
    cases = [(("same.png",), "identical"), (("lossy.webp", "--job", job_id), "alike")]
    cases += [(("other.png", "--job", job_id), "different")]
    for words, verdict in cases:
        with settling(queue, worker.succeed):
            code = run("verify", *words, "--redraw", "--json", "-q")
        redrawn = json.loads(capfd.readouterr().out)["redrawn"]
        assert (redrawn["verdict"], redrawn["index"]) == (verdict, redrawn["index"])
        assert redrawn["job"] != job_id
        assert (code == 0) is (verdict == "identical")  # the other two files have lost their mark


def test_a_file_without_its_request_needs_its_job(
    run: Run, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    assert run("verify", "photo.png", "--redraw") == 1
    assert "name its job, or verify the PNG file" in capfd.readouterr().err


def test_a_request_with_a_picture_is_sent_again_without_what_resolving_found(
    api: Any, worker: PlayedWorker
) -> None:
    first = api.submit("a red apple")
    worker.succeed(first.id)
    second = api.submit("a pear", init={"image": f"{first.id}/0", "strength": 0.5}, hires={"scale": 2})
    again = request_again(second.request.model_dump(mode="json"))
    assert api.submit(again).request == second.request


def test_a_manifest_that_is_garbage_is_invalid() -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG")
    broken = out.getvalue()[:2] + b"\xff\xeb\x00\x0cJP\0\0jumb?!" + out.getvalue()[2:]
    assert inspect(broken).credentials.state == "invalid"
