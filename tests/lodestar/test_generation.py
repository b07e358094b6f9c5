"""``generate`` as people call it."""

import base64
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from jobs.errors import DeadlineExceededError
from jobs.queue.queue import JobQueue
from jobs.requests.request import GenerateRequest
from jobs.status.job import Job, JobStatus
from lodestar import Client
from lodestar.errors import (
    InvalidRequestError,
    JobCanceledError,
    JobFailedError,
    NotReadableError,
    ServerUnreachableError,
    TooManyRequestsError,
)
from tests.app.cli.conftest import settling
from tests.app.played_worker import PlayedWorker


@pytest.fixture
def drawing(queue: JobQueue, worker: PlayedWorker) -> Iterator[None]:
    """Meanwhile a worker draws every job, in the order of their submission."""

    def draw() -> None:
        while not ended.wait(0.02):
            for job in reversed(queue.list(status=JobStatus.QUEUED).data):
                worker.succeed(job.id)

    ended = threading.Event()
    thread = threading.Thread(target=draw)
    thread.start()
    yield
    ended.set()
    thread.join()


def test_a_preset_is_named_by_its_word(api: Client) -> None:
    request = api.submit("a fox", guidance="fast", steps=9).generation
    assert request.guidance is not None
    assert (request.guidance.preset, request.steps) == ("fast", 9)
    assert api.submit("a fox", guidance=True).generation.guidance is not None
    assert api.submit("a fox", guidance=False).generation.guidance is None


@pytest.mark.usefixtures("drawing")
def test_pictures_come_with_their_seeds_and_show_as_pictures(api: Client) -> None:
    first, second = api.generate("a fox", seed=7, num_images=2)
    assert (first.seed, second.seed, first.index, second.index) == (7, 8, 0, 1)
    assert first.image.size == (first.width, first.height) == (64, 64)
    assert first._repr_png_().startswith(b"\x89PNG")
    assert first.job.status is JobStatus.SUCCEEDED
    assert first.ref == f"{first.job.id}/0"


@pytest.mark.usefixtures("drawing")
def test_several_prompts_come_in_their_order(api: Client) -> None:
    generation = api.generate(["a fox", GenerateRequest(prompt="a cat", seed=2)], steps=5)
    prompts = [picture.job.generation.prompt for picture in generation]
    assert prompts == ["a fox", "a cat"]
    assert [job.generation.steps for job in generation.jobs] == [5, 5]


def test_the_first_picture_is_there_before_the_second_job_is_drawn(
    api: Client, queue: JobQueue, worker: PlayedWorker
) -> None:
    generation = api.generate(["a fox", "a cat"])
    fox, cat = generation.jobs
    worker.succeed(fox.id)
    assert next(iter(generation)).job.id == fox.id
    assert queue.get(cat.id).status is JobStatus.QUEUED


@pytest.mark.usefixtures("drawing")
def test_to_iterate_again_gives_the_same_pictures(api: Client) -> None:
    generation = api.generate("a fox", num_images=2)
    assert next(iter(generation)) is next(iter(generation))
    assert list(generation) == generation.pictures()
    assert len(generation.pictures()) == 2


@pytest.mark.usefixtures("drawing")
def test_pictures_are_saved_under_one_name_and_numbers(api: Client, tmp_path: Path) -> None:
    assert api.generate("a fox").save(tmp_path / "fox.png") == [tmp_path / "fox.png"]
    two = api.generate("a fox", num_images=2)
    assert two.save(tmp_path / "two.png") == [tmp_path / "two-0.png", tmp_path / "two-1.png"]
    jobs = api.generate(["a fox", "a cat"])
    assert jobs.save(tmp_path / "jobs.png") == [tmp_path / "jobs-0.png", tmp_path / "jobs-1.png"]
    (alone,) = api.generate("a fox").save(tmp_path)
    assert alone.parent == tmp_path
    for path in tmp_path.iterdir():
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.format == "PNG"


@pytest.mark.usefixtures("drawing")
def test_a_function_sees_every_look_at_the_job(api: Client) -> None:
    seen: list[Job] = []
    api.generate("a fox", progress=seen.append).pictures()
    assert seen[0].status is JobStatus.QUEUED
    assert seen[-1].status is JobStatus.SUCCEEDED


def test_a_job_that_fails_raises_its_reason(api: Client, queue: JobQueue, worker: PlayedWorker) -> None:
    with settling(queue, lambda job_id: worker.fail(job_id, DeadlineExceededError("it took too long"))):
        generation = api.generate("a fox")
        with pytest.raises(JobFailedError, match="it took too long") as raised:
            generation.pictures()
        with pytest.raises(JobFailedError, match="it took too long"):
            generation.pictures()  # and not an empty list
    assert raised.value.kind == "deadline_exceeded"
    assert raised.value.job.id == generation.jobs[0].id


def test_a_generation_can_be_canceled(api: Client) -> None:
    generation = api.generate(["a fox", "a cat"])
    generation.cancel()
    assert {job.status for job in generation.jobs} == {JobStatus.CANCELED}
    with pytest.raises(JobCanceledError):
        generation.pictures()


def test_a_wrong_field_is_named_before_anything_is_sent(api: Client, queue: JobQueue) -> None:
    with pytest.raises(InvalidRequestError, match="steps: Input should be less than") as raised:
        api.generate(["a fox", "a cat"], steps=9999)
    assert raised.value.field == "steps"
    with pytest.raises(InvalidRequestError, match="stepps"):
        api.generate("a fox", stepps=9)
    assert queue.list().data == ()


def png_of(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


GREY = Image.new("RGB", (8, 8), (128, 128, 128))


def on_disk(folder: Path) -> Path:
    path = folder / "grey.png"
    GREY.save(path)
    return path


@pytest.mark.parametrize(
    "brought",
    [
        on_disk,
        lambda _: png_of(GREY),
        lambda _: GREY,
        lambda _: np.full((8, 8, 3), 128, np.uint8),
        lambda _: np.full((8, 8, 3), 128 / 255, np.float32),
    ],
    ids=["path", "bytes", "image", "array", "floats"],
)
def test_a_field_takes_a_picture_in_any_form(
    api: Client, brought: Callable[[Path], object], tmp_path: Path
) -> None:
    objective = {"type": "image", "image": brought(tmp_path)}
    job = api.submit("a fox", guidance={"objectives": [objective]})
    sent = api.submit(
        "a fox",
        guidance={"objectives": [{"type": "image", "image": base64.b64encode(png_of(GREY)).decode()}]},
    )
    assert job.generation.guidance is not None
    assert sent.generation.guidance is not None
    assert job.generation.guidance.objectives == sent.generation.guidance.objectives


def test_what_is_no_picture_is_refused_by_its_type(api: Client, tmp_path: Path) -> None:
    with pytest.raises(NotReadableError, match=r"cannot read .*nothing\.png"):
        api.submit("a fox", guidance={"objectives": [{"type": "image", "image": tmp_path / "nothing.png"}]})
    with pytest.raises(NotReadableError, match="shape"):
        api.submit("a fox", guidance={"objectives": [{"type": "image", "image": np.zeros((2, 3, 5))}]})
    with pytest.raises(NotReadableError, match="not int"):
        api.score(3)


@pytest.mark.usefixtures("drawing")
def test_pictures_that_come_are_pictures_to_give(api: Client) -> None:
    generation = api.generate("a fox", num_images=2)
    assert len(api.uploads.add(generation)) == 2
    (picture, _) = generation
    assert api.uploads.add(picture)[0].id == api.uploads.add(picture.image)[0].id


@pytest.mark.usefixtures("drawing")
def test_pictures_that_could_not_be_fetched_can_be_asked_for_again(api: Client) -> None:
    generation = api.generate("a fox", num_images=3)
    coming = iter(generation)
    first = next(coming)
    url, api._transport.http.base_url = api._transport.http.base_url, httpx.URL("http://127.0.0.1:9")
    api._transport._retries._most = 0
    with pytest.raises(ServerUnreachableError):
        next(coming)
    api._transport.http.base_url = url
    assert [picture.index for picture in generation] == [0, 1, 2]
    assert generation.pictures()[0] is first


def test_an_interrupted_wait_can_be_taken_up(api: Client, worker: PlayedWorker) -> None:
    def interrupt(job: Job) -> None:
        if not interrupted:
            interrupted.append(job)
            raise KeyboardInterrupt

    interrupted: list[Job] = []
    generation = api.generate("a fox", progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        generation.pictures()
    worker.succeed(generation.jobs[0].id)
    assert len(generation.pictures()) == 1


def test_of_several_prompts_all_are_submitted_or_none(api: Client, queue: JobQueue) -> None:
    with Client(api.url, retries=0) as client, pytest.raises(TooManyRequestsError):
        client.generate([f"fox {number}" for number in range(7)])  # the queue takes five
    assert {job.status for job in queue.list().data} == {JobStatus.CANCELED}
    assert len(queue.list().data) == 5
