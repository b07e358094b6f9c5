"""Jobs, uploads, embeddings, scores and searches, over the API."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from jobs.errors import OutOfMemoryError
from jobs.queue.queue import JobQueue
from jobs.requests.tasks import EmbeddingTask, PictureScore, Scores, ScoreTask
from jobs.status.job import JobStatus
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.embeddings import EmbeddingLibrary, describe
from lodestar import Client
from lodestar.errors import ClientError, ConflictError, InvalidRequestError, NotFoundError
from tests.app.cli.conftest import settling
from tests.app.played_worker import PlayedWorker
from tests.app.samples import embedding_file, png

GREY = Image.new("RGB", (8, 8), (128, 128, 128))


def test_jobs_are_listed_page_by_page(api: Client) -> None:
    ids = [api.submit("a fox").id for _ in range(3)]
    first = api.jobs.list(limit=2)
    rest = api.jobs.list(limit=2, cursor=first.next_cursor)
    assert [job.id for job in (*first.data, *rest.data)] == ids[::-1]
    assert api.jobs.list(status="running").data == ()
    assert [job.queue_position for job in api.jobs.list(order="turn", kind="generate").data] == [0, 1, 2]


def test_jobs_are_listed_and_changed_by_what_they_are_about(api: Client, worker: PlayedWorker) -> None:
    apple, pear = api.submit("an apple", labels=["a"]).id, api.submit("a pear", labels=["b"]).id
    now = datetime.now(UTC)
    assert [job.id for job in api.jobs.list(q="APPLE", since=now - timedelta(minutes=5)).data] == [apple]
    assert api.jobs.list(until=now - timedelta(minutes=5)).data == ()
    worker.fail(apple, OutOfMemoryError("no memory"))
    assert [(each.type, each.jobs) for each in api.jobs.failures(label="a").data] == [("out_of_memory", 1)]
    made = api.jobs.retry_all(error="out_of_memory").made
    assert len(made) == 1
    assert api.jobs.cancel_all(label="b").data == (pear,)
    assert api.jobs.delete_all(status=["failed", "canceled"]).data == (pear, apple)
    assert [job.id for job in api.jobs.list().data] == [*made]
    with pytest.raises(InvalidRequestError, match="give either ids"):
        api.jobs.delete_all()


def test_waiting_jobs_get_another_priority(api: Client, worker: PlayedWorker) -> None:
    first, second, third = (api.submit("a fox", labels=[label]).id for label in "aab")
    job = api.jobs.prioritize(third, "high")
    assert (job.queue_position, job.request.priority) == (0, "high")
    assert set(api.jobs.prioritize_all("low", label="a").data) == {first, second}
    assert {job.request.priority for job in api.jobs.list(label="a").data} == {"low"}
    worker.claim(third)
    with pytest.raises(ConflictError, match="is running"):
        api.jobs.prioritize(third, "low")
    with pytest.raises(InvalidRequestError, match="priority"):
        api.jobs.prioritize(first, "urgent")


def test_a_deleted_job_is_gone(api: Client) -> None:
    job = api.submit("a fox")
    api.jobs.delete(job.id)
    with pytest.raises(NotFoundError) as raised:
        api.jobs.get(job.id)
    assert raised.value.kind == "unknown_job"


def test_an_id_leads_nowhere_else(api: Client) -> None:
    with pytest.raises(NotFoundError):
        api.jobs.get("../models")


def test_an_earlier_job_s_pictures_can_be_fetched(api: Client, worker: PlayedWorker) -> None:
    job = api.submit("a fox", num_images=2)
    worker.succeed(job.id)
    assert [picture.index for picture in api.jobs.pictures(job.id)] == [0, 1]
    (first, _) = api.jobs.pictures(api.jobs.get(job.id))
    assert first.data == api.jobs.image(job.id)


def test_the_map_of_a_picture_is_made_without_a_job(api: Client, tmp_path: Path) -> None:
    made = api.detect(GREY, "invert", width=16, height=16)
    assert (made.image.size, made.image.getpixel((3, 3))) == ((16, 16), (127, 127, 127))
    assert made.save(tmp_path / "map.png").read_bytes() == made.data
    assert api.jobs.list().data == ()
    with pytest.raises(InvalidRequestError, match="downsample: Input should be greater than or equal to 1"):
        api.detect(GREY, "tile", downsample=0)
    with pytest.raises(ClientError, match="'none' is not in the catalog"):
        api.detect(GREY, model="none")


def test_events_are_told_as_they_come(api: Client, worker: PlayedWorker) -> None:
    job = api.submit("a fox")
    events = api.jobs.events(job.id)
    assert next(events).data["job"]["status"] == "queued"
    worker.succeed(job.id)
    assert [event.name for event in events] == ["started", "done"]


def test_pictures_of_every_kind_are_scored_in_their_order(
    api: Client, queue: JobQueue, worker: PlayedWorker, tmp_path: Path
) -> None:
    job = api.submit("a fox")
    worker.succeed(job.id)
    (own,) = api.jobs.pictures(job.id)
    GREY.save(tmp_path / "grey.png")
    asked: list[ScoreTask] = []

    def settle(job_id: str) -> None:
        lease = worker.claim(job_id)
        assert isinstance(lease.request, ScoreTask)
        asked.append(lease.request)
        scores = tuple(PictureScore(clip_score=0.1 * place) for place in range(4))
        worker.leases.answer(lease, Scores(clip="pocket-m", pictures=scores))

    with settling(queue, settle):
        scores = api.score([tmp_path / "grey.png", GREY, own, own.ref], prompt="a fox")
    assert [each.clip_score for each in scores.pictures] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert (len(asked[0].pictures), asked[0].prompt) == (4, "a fox")


def test_an_embedding_s_life(
    api: Client, queue: JobQueue, worker: PlayedWorker, artifacts: ArtifactStore, tmp_path: Path
) -> None:
    def settle(job_id: str) -> None:
        lease = worker.claim(job_id)
        assert isinstance(lease.request, EmbeddingTask)
        file = embedding_file(lease.request.name, lease.request.clip)
        EmbeddingLibrary(artifacts).put(lease.request.name, file)
        worker.leases.answer(lease, describe(file, lease.request.name))

    with settling(queue, settle):
        job = api.jobs.wait(api.embeddings.make("flat", [GREY, png()], minus=GREY, clip="pocket-m").id)
    assert job.status is JobStatus.SUCCEEDED
    assert [info.name for info in api.embeddings.list()] == ["flat"]
    assert api.embeddings.get("flat").clip == "pocket-m"
    with pytest.raises(ConflictError) as raised:
        api.embeddings.make("flat", GREY, clip="pocket-m")
    assert (raised.value.kind, raised.value.field) == ("name_taken", "name")
    file = tmp_path / "flat.safetensors"
    file.write_bytes(api.embeddings.export("flat"))
    assert api.embeddings.import_("again", file, clip="pocket-m").status is JobStatus.QUEUED
    api.embeddings.delete("flat")
    assert api.embeddings.list() == ()


def test_a_search_is_for_a_text_or_for_a_picture(api: Client) -> None:
    for given in ({}, {"query": "a fox", "picture": GREY}):
        with pytest.raises(InvalidRequestError, match="either a text or a picture"):
            api.search(**given)  # type: ignore[arg-type]


def test_the_service_describes_itself(api: Client) -> None:
    models = api.models()
    assert [(model.id, model.defaults.width) for model in models] == [("pocket", 64), ("big", 512)]
    assert models[0].guidance_presets
    assert api.adapters() == ()
    assert api.textual_inversions() == ()
    assert api.controls() == ()
    assert api.image_prompts() == ()
    assert api.workers() == ()
    assert api.queue().jobs[JobStatus.QUEUED] == 0


def test_an_upload_s_life(api: Client, tmp_path: Path) -> None:
    GREY.save(tmp_path / "grey.png")
    (one,) = api.uploads.add(tmp_path / "grey.png")
    assert (one.name, one.width, one.height) == ("grey.png", 8, 8)
    again, other = api.uploads.add([GREY, png()])
    assert again.id == one.id
    assert {upload.id for upload in api.uploads.list()} == {one.id, other.id}
    job = api.submit("a fox", guidance={"objectives": [{"type": "image", "image": one.id}]})
    assert job.generation.guidance is not None
    assert api.uploads.content(one.id).startswith(b"\x89PNG")
    assert api.uploads.get(one.id).id == one.id
    api.uploads.delete(one.id)
    with pytest.raises(NotFoundError) as raised:
        api.uploads.get(one.id)
    assert raised.value.kind == "unknown_upload"
