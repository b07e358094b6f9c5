"""The pictures of a job, in each format."""

import io
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.api.dialects.stored_pictures import stored_pictures
from app.api.main import create_app
from app.api.pictures.archives import archive_of
from app.api.pictures.formats import Format
from app.api.settings import ApiSettings
from jobs.errors import OutOfMemoryError
from jobs.pictures.mark import DigitalSource, Mark, mark_in
from jobs.storage.artifacts import ArtifactStore
from tests.app import samples
from tests.app.conftest import LocalClient
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
    text = Image.open(io.BytesIO(answer.content)).info["parameters"]
    assert text.startswith("a red apple")
    assert answer.content == picture(64, 48, tint=8, text=text)


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


WAYS_OUT = ("images/0", "images/0.png", "images/0.webp?quality=80", "images/0.jpeg?quality=80")


def mark_of_answer(data: bytes) -> Mark | None:
    """The mark in a file, or in the only file of a zip."""
    if data.startswith(b"PK"):
        with ZipFile(io.BytesIO(data)) as folder:
            (name,) = folder.namelist()
            return mark_in(folder.read(name))
    return mark_in(data)


@pytest.mark.parametrize("was_marked", [True, False])
def test_a_picture_says_in_every_format_that_a_model_has_made_it(
    client: TestClient,
    submit: Callable[..., str],
    worker: PlayedWorker,
    artifacts: ArtifactStore,
    was_marked: bool,
) -> None:
    job_id = submit()
    lease = worker.claim(job_id)
    stored = worker.store(lease)
    if not was_marked:  # as a version before marks has stored it
        artifacts.put(stored[0].key, samples.png(64, 64))
    worker.leases.succeed(lease, stored)
    services = client.app.state.services  # type: ignore[attr-defined]
    files = {way: client.get(f"/v1/jobs/{job_id}/{way}").content for way in WAYS_OUT}
    files["zip"] = b"".join(archive_of(services, [stored[0].key]))
    files |= {
        f"dialect, {form}": stored_pictures(services, services.queue.get(job_id), form)[0] for form in Format
    }
    for way, file in files.items():
        mark = mark_of_answer(file)
        assert mark is not None, way
        assert mark.source is DigitalSource.GENERATED
        assert mark.model == ("pocket" if was_marked else "")


def test_with_marks_off_nothing_is_added(
    settings: ApiSettings, submit: Callable[..., str], worker: PlayedWorker, artifacts: ArtifactStore
) -> None:
    job_id = submit()
    lease = worker.claim(job_id)
    stored = worker.store(lease)
    artifacts.put(stored[0].key, samples.png(64, 64))
    worker.leases.succeed(lease, stored)
    with LocalClient(create_app(settings.model_copy(update={"marks": "off"}))) as quiet:
        assert quiet.get(f"/v1/jobs/{job_id}/images/0").content == samples.png(64, 64)
        assert mark_in(quiet.get(f"/v1/jobs/{job_id}/images/0.webp").content) is None
