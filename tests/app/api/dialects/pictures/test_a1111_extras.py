"""The extras that a worker does for the unmodified ``webuiapi`` client: networks that enlarge, and descriptions."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
import webuiapi
from PIL import Image

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.errors import MissingExtraError
from jobs.queue.queue import JobQueue
from jobs.requests.start.init import Fit
from jobs.requests.tasks import DescribeTask, Description, EnlargeTask
from jobs.status.job import StoredImage
from jobs.storage.artifacts import ArtifactStore
from tests.app.api.dialects.conftest import BusyWorker
from tests.app.api.dialects.test_a1111 import client_of, failure
from tests.app.conftest import serving
from tests.app.played_worker import PlayedWorker, picture
from tests.brought_pictures import scene

ANIME = "R-ESRGAN 4x+ Anime6B"


@pytest.fixture
def client(url: str) -> Iterator[webuiapi.WebUIApi]:
    with client_of(url) as client:
        yield client


@pytest.fixture
def enlarging(queue: JobQueue, worker: PlayedWorker, artifacts: ArtifactStore) -> Iterator[list[EnlargeTask]]:
    """A worker that answers pictures of the sizes that are asked for; its tasks."""
    seen: list[EnlargeTask] = []

    def enlarge(job_id: str) -> None:
        lease = worker.claim(job_id)
        task = lease.request
        assert isinstance(task, EnlargeTask)
        for each in task.pictures:
            assert artifacts.get(each.key)
        images = tuple(
            StoredImage(
                index=at, seed=0, width=of.width, height=of.height, key=f"{lease.artifact_prefix}/{at}.png"
            )
            for at, of in enumerate(task.pictures)
        )
        for image in images:
            artifacts.put(image.key, picture(image.width, image.height, tint=image.index))
        worker.leases.succeed(lease, images)
        seen.append(task)

    with BusyWorker(queue, enlarge):
        yield seen


def test_a_network_enlarges_a_picture_and_nothing_is_kept(
    client: webuiapi.WebUIApi, enlarging: list[EnlargeTask], queue: JobQueue, artifacts: ArtifactStore
) -> None:
    made = client.extra_single_image(scene(48, 32), upscaler_1=ANIME, upscaling_resize=3).image
    assert made.tobytes() == Image.open(io.BytesIO(picture(144, 96, tint=0))).tobytes()
    (task,) = enlarging
    ((asked),) = task.pictures
    assert (task.network, task.fit, asked.pixels) == ("x4plus-anime", Fit.STRETCH, 48 * 32)
    assert queue.list().data == ()
    assert artifacts.keys(asked.key.partition("/")[0]) == []


@pytest.mark.parametrize(
    ("crop", "fit", "size"), [(True, Fit.CROP, (80, 40)), (False, Fit.STRETCH, (60, 40))]
)
def test_a_network_enlarges_to_a_size(
    client: webuiapi.WebUIApi, enlarging: list[EnlargeTask], crop: bool, fit: Fit, size: tuple[int, int]
) -> None:
    wanted = {"resize_mode": 1, "upscaling_resize_w": 80, "upscaling_resize_h": 40, "upscaling_crop": crop}
    made = client.extra_single_image(scene(48, 32), upscaler_1="R-ESRGAN 4x+", **wanted).image
    assert (made.size, enlarging[0].fit, enlarging[0].network) == (size, fit, "x4plus")


def test_a_batch_is_one_job(client: webuiapi.WebUIApi, enlarging: list[EnlargeTask]) -> None:
    made = client.extra_batch_images([scene(), scene(20, 30)], upscaler_1=ANIME, upscaling_resize=4).images
    assert [each.size for each in made] == [(192, 192), (80, 120)]
    assert [len(task.pictures) for task in enlarging] == [2]


def test_a_network_and_a_filter_are_blended(client: webuiapi.WebUIApi, enlarging: list[EnlargeTask]) -> None:
    made = client.extra_single_image(
        scene(), upscaler_1="Lanczos", upscaler_2=ANIME, extras_upscaler_2_visibility=0.25
    ).image
    filtered = client.extra_single_image(scene(), upscaler_1="Lanczos").image
    network = Image.open(io.BytesIO(picture(96, 96, tint=0)))
    assert made.tobytes() == Image.blend(filtered, network, 0.25).tobytes()
    assert len(enlarging) == 1
    client.extra_single_image(scene(), upscaler_1="Lanczos", upscaler_2=ANIME)  # not visible
    assert len(enlarging) == 1


@pytest.mark.parametrize(
    ("picture_", "fields", "field"),
    [
        (scene(), {"upscaler_1": "ESRGAN_4x"}, "upscaler_1"),
        (scene(1600, 1400), {"upscaler_1": ANIME}, "upscaler_1"),
        (
            scene(1600, 1400),
            {"upscaler_1": "Lanczos", "upscaler_2": ANIME, "extras_upscaler_2_visibility": 1},
            "upscaler_2",
        ),
        (scene(1100, 1100), {"upscaler_1": ANIME, "upscaling_resize": 4}, "upscaling_resize"),
    ],
)
def test_what_is_too_large_is_refused_before_anything_is_made(
    client: webuiapi.WebUIApi, queue: JobQueue, picture_: Image.Image, fields: dict[str, Any], field: str
) -> None:
    code, answer = failure(lambda: client.extra_single_image(picture_, **fields))
    assert (code, answer["errors"].partition(":")[0]) == (422, field)
    assert queue.list().data == ()


def test_what_costs_more_than_the_operator_allows_is_refused_and_names_the_pictures(
    settings: ApiSettings, queue: JobQueue
) -> None:
    limited = create_app(settings.model_copy(update={"max_cost": 10}))
    with serving(limited) as url, client_of(url) as client:
        for call, field in (
            (lambda: client.extra_single_image(scene(96, 96), upscaler_1=ANIME), "image"),
            (lambda: client.extra_batch_images([scene(), scene()], upscaler_1=ANIME), "imageList"),
        ):
            code, answer = failure(call)
            assert (code, answer["errors"].partition(":")[0]) == (422, field)
    assert queue.list().data == ()


def test_a_worker_without_the_networks_says_what_to_install(
    client: webuiapi.WebUIApi, queue: JobQueue, worker: PlayedWorker
) -> None:
    error = MissingExtraError("upscaling needs more packages: pip install '.[upscale]'", field="upscaler")
    with BusyWorker(queue, lambda job_id: worker.fail(job_id, error)):
        code, answer = failure(lambda: client.extra_single_image(scene(), upscaler_1=ANIME))
    assert (code, "pip install '.[upscale]'" in answer["detail"]) == (500, True)


def test_a_description_has_the_words_that_the_clip_of_the_callers_model_has_found(
    client: webuiapi.WebUIApi, queue: JobQueue, worker: PlayedWorker, artifacts: ArtifactStore
) -> None:
    found: list[str] = []

    def find(job_id: str) -> None:
        lease = worker.claim(job_id)
        found.append(job_id)
        assert isinstance(lease.request, DescribeTask)
        assert (lease.request.clip, lease.request.words_of) == ("pocket-s", "big")
        assert Image.open(io.BytesIO(artifacts.get(lease.request.picture))).tobytes() == scene().tobytes()
        found_words = Description(clip="pocket-s", caption="a cat, a print, cubist", similarity=0.3)
        worker.leases.answer(lease, found_words)

    client.util_set_model("big")
    with BusyWorker(queue, find):
        assert client.interrogate(scene()).info == "a cat, a print, cubist"
    assert queue.list().data == ()
    assert artifacts.keys(found[0]) == []


def test_another_way_of_describing_is_refused(client: webuiapi.WebUIApi) -> None:
    code, answer = failure(lambda: client.interrogate(scene(), model="deepdanbooru"))
    assert (code, answer["errors"].partition(":")[0]) == (422, "model")
