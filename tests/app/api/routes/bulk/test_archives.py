"""Zip files of the pictures of jobs."""

import io
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from starlette.testclient import TestClient

from app.api.settings import ApiSettings
from tests.app.played_worker import PlayedWorker

Submit = Callable[..., str]


def files_of(answer: bytes) -> dict[str, bytes]:
    with ZipFile(io.BytesIO(answer)) as folder:
        assert folder.testzip() is None
        return {name: folder.read(name) for name in folder.namelist()}


@pytest.fixture
def done(submit: Submit, worker: PlayedWorker) -> tuple[str, str]:
    """Two finished jobs, of two pictures and of one."""
    first, second = submit(num_images=2), submit()
    worker.succeed(first)
    worker.succeed(second)
    return first, second


def test_all_pictures_of_a_job_come_in_one_file(client: TestClient, done: tuple[str, str]) -> None:
    first, _ = done
    answer = client.get(f"/v1/jobs/{first}/images.zip")
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{first}.zip"'
    files = files_of(answer.content)
    assert list(files) == [f"{first}-0.png", f"{first}-1.png"]
    assert files[f"{first}-1.png"] == client.get(f"/v1/jobs/{first}/images/1").content


def test_pictures_of_several_jobs_come_in_the_order_they_are_named_in_and_once(
    client: TestClient, done: tuple[str, str]
) -> None:
    first, second = done
    answer = client.get("/v1/images.zip", params={"picture": [second, f"{first}/1", f"{second}/0"]})
    assert list(files_of(answer.content)) == [f"{second}-0.png", f"{first}-1.png"]


def test_what_cannot_be_had_is_refused_before_the_file_begins(
    client: TestClient, done: tuple[str, str], submit: Submit, settings: ApiSettings
) -> None:
    first, second = done
    waits = submit()
    for picture, status, kind in (
        (waits, 409, "job_not_finished"),
        (f"{first}/9", 404, "unknown_image"),
        ("0" * 24, 404, "unknown_job"),
        ("../etc", 422, "invalid_request"),
    ):
        answer = client.get("/v1/images.zip", params={"picture": [second, picture]})
        assert (answer.status_code, answer.json()["type"]) == (status, f"/errors/{kind}"), picture
    assert client.get("/v1/images.zip").status_code == 422
    assert client.get("/v1/images.zip", params={"picture": [second] * 201}).status_code == 422
    assert client.get(f"/v1/jobs/{waits}/images.zip").status_code == 409
    for file in Path(settings.artifacts_url).rglob("0.png"):
        file.unlink()
    assert client.get(f"/v1/jobs/{second}/images.zip").status_code == 404


@pytest.mark.parametrize("job_id", ["nothing", "S%C2%A0%11", "%00", "0-0", "a" * 3000])
def test_a_job_that_never_was_has_no_file(client: TestClient, job_id: str) -> None:
    answer = client.get(f"/v1/jobs/{job_id}/images.zip")
    assert (answer.status_code, answer.json()["title"]) == (404, "Unknown job")
