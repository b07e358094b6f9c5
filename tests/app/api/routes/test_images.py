"""The pictures of a job, in each format."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.api.settings import ApiSettings
from jobs.errors import OutOfMemoryError
from tests.app.played_worker import PlayedWorker, picture


@pytest.fixture
def images(submit: Callable[..., str], worker: PlayedWorker) -> str:
    """Path of the pictures of a job that has two."""
    job_id = submit(num_images=2, seed=7, width=64, height=48)
    worker.succeed(job_id)
    return f"/v1/jobs/{job_id}/images"


def test_a_png_is_the_file_that_the_worker_stored(client: TestClient, images: str) -> None:
    answer = client.get(f"{images}/1")
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.content == picture(64, 48, tint=8)


@pytest.mark.parametrize("suffix", ["png", "webp", "jpeg", "jpg"])
def test_a_suffix_chooses_the_format(client: TestClient, images: str, suffix: str) -> None:
    answer = client.get(f"{images}/0.{suffix}", headers={"Accept": "image/png"})
    name = {"jpg": "jpeg"}.get(suffix, suffix)
    assert answer.headers["Content-Type"] == f"image/{name}"
    with Image.open(io.BytesIO(answer.content)) as decoded:
        assert (decoded.format, decoded.size) == (name.upper(), (64, 48))


def test_accept_chooses_the_format_where_there_is_no_suffix(client: TestClient, images: str) -> None:
    answer = client.get(f"{images}/0", headers={"Accept": "image/webp, image/png;q=0.5"})
    assert answer.headers["Content-Type"] == "image/webp"
    assert answer.headers["Vary"] == "Accept"


def test_a_picture_may_be_cached_for_ever_and_is_recognized(client: TestClient, images: str) -> None:
    first = client.get(f"{images}/0.webp")
    assert "immutable" in first.headers["Cache-Control"]
    again = client.get(f"{images}/0.webp", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    other = client.get(f"{images}/0.png", headers={"If-None-Match": first.headers["ETag"]})
    assert other.status_code == 200


@pytest.mark.parametrize("name", ["2", "-1", "one", "0.gif", "0.png.exe", "00000", "0.", "١"])
def test_a_picture_that_the_job_does_not_have_is_unknown(client: TestClient, images: str, name: str) -> None:
    answer = client.get(f"{images}/{name}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/errors/unknown_image")


def test_the_pictures_of_an_unfinished_job_are_not_unknown_but_not_there_yet(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = submit()
    queued = client.get(f"/v1/jobs/{job_id}/images/0")
    worker.claim(job_id)
    running = client.get(f"/v1/jobs/{job_id}/images/0")
    for answer in (queued, running):
        assert (answer.status_code, answer.json()["type"]) == (409, "/errors/job_not_finished")


def test_a_store_that_cannot_be_read_is_told_from_a_picture_that_is_not_there(
    client: TestClient, images: str, settings: ApiSettings
) -> None:
    (file,) = Path(settings.artifacts_url).rglob("0.png")
    file.unlink()
    assert client.get(f"{images}/0").json()["type"] == "/errors/unknown_image"
    file.symlink_to(file)  # a loop: reading fails although something is there
    answer = client.get(f"{images}/0")
    assert (answer.status_code, answer.json()["type"]) == (503, "/errors/artifacts_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert str(file) not in answer.text


def test_a_failed_job_has_no_pictures(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = submit()
    worker.fail(job_id, OutOfMemoryError("it needs 20 GB"))
    answer = client.get(f"/v1/jobs/{job_id}/images/0")
    assert (answer.status_code, answer.json()["type"]) == (404, "/errors/unknown_image")
