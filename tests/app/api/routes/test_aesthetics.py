"""The routes of embeddings, scores and search, up to the worker, which a test plays."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.pictures.uploads import MAX_FILE_BYTES
from app.api.settings import ApiSettings
from jobs.db.scripts import PREFIX
from jobs.queue.leases import Lease
from jobs.queue.order import flow_of
from jobs.requests.embeddings import EmbeddingInfo
from jobs.requests.request import Priority
from jobs.requests.tasks import EmbeddingTask, ImportTask, PictureScore, Place, QueryTask, Scores, ScoreTask
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.embeddings import EmbeddingLibrary, describe
from jobs.storage.segments import Segment, Segments
from tests.app.conftest import LocalClient
from tests.app.played_worker import PlayedWorker
from tests.app.samples import embedding_file, png

WIDTH = 4


@pytest.fixture
def models_file(tmp_path: Path, models_file: Path) -> Path:
    """With a text tower that is known."""
    text = models_file.read_text().replace(
        'clip = "pocket-m"\n', 'clip = "pocket-m"\ntext_clip = "pocket-s"\npersonalization_lr = 2e-5\n', 1
    )
    models_file.write_text(text)
    return models_file


def upload(data: bytes, name: str = "a.png") -> tuple[str, bytes, str]:
    return (name, data, "image/png")


def problem(answer: object) -> tuple[int, str, list[str]]:
    body = answer.json()  # type: ignore[attr-defined]
    fields = [error["field"] for error in body.get("errors", [])]
    return body["status"], body["type"].removeprefix("/errors/"), fields


def claim(worker: PlayedWorker, job_id: str) -> Lease:
    return worker.claim(job_id)


def test_an_embedding_is_made_from_uploads_and_from_finished_jobs(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker, artifacts: ArtifactStore
) -> None:
    done = submit(num_images=2)
    worker.succeed(done)
    answer = client.post(
        "/v1/aesthetic-embeddings",
        data={"name": "warm", "jobs": [done], "minus_jobs": [f"{done}/1"], "normalize": "false"},
        files=[("pictures", upload(png(mode="RGBA"))), ("pictures", upload(png(form="JPEG"), "b.jpg"))],
    )
    assert answer.status_code == 202, answer.text
    lease = claim(worker, answer.json()["id"])
    task = lease.request
    assert isinstance(task, EmbeddingTask)
    assert (task.clip, task.name, task.normalize) == ("pocket-s", "warm", False)
    assert (len(task.pictures), len(task.minus)) == (4, 1)
    for key in (*task.pictures, *task.minus):
        with Image.open(io.BytesIO(artifacts.get(key))) as image:
            assert (image.format, image.mode) == ("PNG", "RGB")
    file = embedding_file("warm")
    EmbeddingLibrary(artifacts).put("warm", file)
    worker.leases.answer(lease, describe(file, "warm"))
    job = client.get(f"/v1/jobs/{lease.job_id}").json()
    assert (job["status"], job["result"]["name"], job["result"]["clip"]) == ("succeeded", "warm", "pocket-s")
    assert job["request"]["kind"] == "embedding"
    listed = client.get("/v1/aesthetic-embeddings").json()["data"]
    assert [EmbeddingInfo.model_validate(info).name for info in listed] == ["warm"]


def test_an_embedding_can_be_looked_at_exported_and_deleted(
    client: TestClient, artifacts: ArtifactStore
) -> None:
    file = embedding_file("warm")
    EmbeddingLibrary(artifacts).put("warm", file)
    assert client.get("/v1/aesthetic-embeddings/warm").json()["clip"] == "pocket-s"
    exported = client.get("/v1/aesthetic-embeddings/warm/file")
    assert exported.content == file
    assert 'filename="warm.safetensors"' in exported.headers["content-disposition"]
    assert client.delete("/v1/aesthetic-embeddings/warm").status_code == 204
    for call in (client.get, client.delete):
        assert problem(call("/v1/aesthetic-embeddings/warm"))[:2] == (404, "unknown_embedding")
    assert problem(client.get("/v1/aesthetic-embeddings/..%2F..%2Fetc"))[0] in (404, 422)


def test_a_file_is_imported_by_a_worker(
    client: TestClient, worker: PlayedWorker, artifacts: ArtifactStore
) -> None:
    answer = client.post(
        "/v1/aesthetic-embeddings/import", data={"name": "sac"}, files={"file": ("sac_8plus.pt", b"pickle")}
    )
    task = claim(worker, answer.json()["id"]).request
    assert isinstance(task, ImportTask)
    assert artifacts.get(task.file) == b"pickle"
    assert task.filename == "sac_8plus.pt"
    assert task.file.endswith(".pt")
    client.delete(f"/v1/jobs/{answer.json()['id']}")
    assert artifacts.keys(answer.json()["id"]) == []


@pytest.mark.parametrize(
    ("data", "files", "expected"),
    [
        ({"name": "a b"}, [], (422, "invalid_request", ["name"])),
        ({"name": "../x"}, [], (422, "invalid_request", ["name"])),
        ({"name": "x"}, [], (422, "invalid_request", ["pictures"])),
        (
            {"name": "x", "clip": "nobody"},
            [("pictures", upload(png()))],
            (422, "unknown_model", ["clip"]),
        ),
        ({"name": "x", "jobs": ["f" * 24]}, [], (404, "unknown_job", [])),
        ({"name": "x", "jobs": ["../etc"]}, [], (422, "invalid_request", ["jobs"])),
        ({"name": "x"}, [("pictures", upload(b"no picture"))], (422, "invalid_file", ["pictures"])),
        ({"name": "x"}, [("pictures", upload(png()[:40]))], (422, "invalid_file", ["pictures"])),
        ({"name": "x"}, [("pictures", upload(png(form="BMP")))], (422, "invalid_file", ["pictures"])),
        ({"name": "x"}, [("pictures", upload(png(20_000, 1)))], (422, "invalid_file", ["pictures"])),
        ({"name": "x"}, [("pictures", upload(png(5000, 5000, "1")))], (422, "invalid_file", ["pictures"])),
        ({"name": "taken"}, [("pictures", upload(png()))], (409, "name_taken", ["name"])),
    ],
)
def test_what_makes_no_embedding_is_refused(
    client: TestClient,
    artifacts: ArtifactStore,
    data: dict[str, object],
    files: list[tuple[str, tuple[str, bytes, str]]],
    expected: tuple[int, str, list[str]],
) -> None:
    EmbeddingLibrary(artifacts).put("taken", embedding_file("taken"))
    # A form without files would not be sent as multipart.
    answer = client.post("/v1/aesthetic-embeddings", data=data, files=files or {"ignored": b""})
    assert problem(answer) == expected
    assert client.get("/v1/jobs").json()["data"] == []


def test_an_upload_may_be_longer_than_other_bodies_but_not_endless(settings: ApiSettings) -> None:
    small = settings.model_copy(update={"max_body_bytes": 1 << 16, "max_upload_bytes": 1 << 20})
    with LocalClient(create_app(small)) as client:
        long = {"prompt": "x" * (small.max_body_bytes + 1)}
        assert problem(client.post("/v1/jobs", json=long))[:2] == (413, "body_too_large")
        form = {"file": ("a.pt", b"x" * (small.max_body_bytes + 1))}
        path = "/v1/aesthetic-embeddings/import"
        assert client.post(path, data={"name": "x"}, files=form).status_code == 202
        assert problem(client.post("/v1/jobs", files=form))[:2] == (413, "body_too_large")
        endless = {"file": ("a.pt", b"x" * (small.max_upload_bytes + 1))}
        assert problem(client.post(path, data={"name": "y"}, files=endless))[:2] == (413, "body_too_large")


def test_a_file_to_import_is_no_longer_than_an_embedding_can_be(client: TestClient) -> None:
    form = {"file": ("long.npy", b"x" * (MAX_FILE_BYTES + 1))}
    answer = client.post("/v1/aesthetic-embeddings/import", data={"name": "x"}, files=form)
    assert problem(answer) == (422, "invalid_file", ["file"])
    assert "'long.npy' has 8388609 bytes; at most 8 MiB" in answer.json()["detail"]


def test_pictures_are_scored_by_a_worker(client: TestClient, worker: PlayedWorker, redis: Redis) -> None:
    answer = client.post(
        "/v1/scores",
        data={"prompt": "an apple"},
        files={"pictures": upload(png())},
        headers={"X-Forwarded-User": "alice"},
    )
    flow = redis.hget(f"{PREFIX}job:{answer.json()['id']}", "flow")
    assert flow == flow_of("alice", Priority.NORMAL)
    lease = claim(worker, answer.json()["id"])
    assert isinstance(lease.request, ScoreTask)
    assert (lease.request.clip, lease.request.prompt) == ("pocket-m", "an apple")
    scores = Scores(clip="pocket-m", pictures=(PictureScore(clip_score=0.3, aesthetic_score=11.5),))
    worker.leases.answer(lease, scores)
    job = client.get(f"/v1/jobs/{lease.job_id}").json()
    assert job["result"]["pictures"] == [{"clip_score": 0.3, "aesthetic_score": 11.5}]


def test_a_job_is_personalized_by_an_embedding_of_its_text_encoders_clip(
    client: TestClient, submit: Callable[..., str], artifacts: ArtifactStore
) -> None:
    library = EmbeddingLibrary(artifacts)
    library.put("warm", embedding_file("warm"))
    library.put("other", embedding_file("other", clip="pocket-m"))
    job = client.get(f"/v1/jobs/{submit(personalization={'embedding': 'warm'})}").json()
    resolved = job["request"]["personalization"]
    assert (resolved["digest"], resolved["steps"], resolved["lr"]) == ("d" * 64, 10, 2e-5)
    assert (resolved["weight"], resolved["text_angle"]) == (1.0, 0.0)
    job = client.get(f"/v1/jobs/{submit(personalization={'embedding': 'warm', 'lr': 0.05})}").json()
    assert job["request"]["personalization"]["lr"] == 0.05

    def refused(**fields: object) -> tuple[int, str, list[str]]:
        return problem(client.post("/v1/jobs", json={"prompt": "x", **fields}))

    asked = {"embedding": "other"}
    assert refused(personalization=asked) == (422, "clip_mismatch", ["personalization.embedding"])
    asked = {"embedding": "nobody"}
    assert refused(personalization=asked) == (422, "invalid_request", ["personalization.embedding"])
    asked = {"embedding": "warm"}
    assert refused(model="big", personalization=asked) == (422, "no_image_tower", ["personalization"])


def test_the_candidates_of_a_choice_are_seen_while_they_come(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = submit(select={"candidates": 3, "keep": 1})
    lease = worker.claim(job_id)
    made = [
        image.model_copy(update={"clip_score": score})
        for image, score in zip(worker.store(lease), (0.1, 0.3, 0.2), strict=True)
    ]
    worker.leases.show(lease, made[0])
    worker.leases.show(lease, made[1])
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert [candidate["index"] for candidate in job["candidates"]] == [0, 1]
    assert [candidate["kept"] for candidate in job["candidates"]] == [None, None]
    assert client.get(job["candidates"][1]["url"]).status_code == 200
    assert problem(client.get(f"/v1/jobs/{job_id}/images/2"))[:2] == (409, "job_not_finished")
    worker.leases.show(lease, made[2])
    worker.leases.succeed(lease, (made[1],))
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert [candidate["kept"] for candidate in job["candidates"]] == [False, True, False]
    assert [image["index"] for image in job["images"]] == [1]
    assert [candidate["url"] is None for candidate in job["candidates"]] == [True, False, True]


def test_the_candidates_of_a_lost_worker_are_not_those_of_its_successor(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker
) -> None:
    job_id = submit(select={"candidates": 2})
    lost = worker.claim(job_id)
    images = worker.store(lost)
    worker.leases.show(lost, images[0])
    worker.leases.release(lost)
    again = worker.claim(job_id)
    assert client.get(f"/v1/jobs/{job_id}").json()["candidates"] == []
    worker.leases.show(lost, images[1])
    assert client.get(f"/v1/jobs/{job_id}").json()["candidates"] == []
    worker.leases.show(again, worker.store(again)[0])
    assert len(client.get(f"/v1/jobs/{job_id}").json()["candidates"]) == 1


@contextmanager
def answering(
    client: TestClient, worker: PlayedWorker, vector: tuple[float, ...]
) -> Iterator[list[QueryTask]]:
    """A worker that answers queries with this place."""
    seen: list[QueryTask] = []
    stop = threading.Event()

    def serve() -> None:
        while not stop.wait(0.02):
            while (lease := worker.leases.claim_next()) is not None:
                assert isinstance(lease.request, QueryTask)
                seen.append(lease.request)
                worker.leases.answer(lease, Place(clip=lease.request.clip, vector=vector))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def kept(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker, artifacts: ArtifactStore
) -> list[str]:
    """Three finished jobs, whose pictures lie along three axes."""
    jobs = []
    for axis in range(3):
        lease = worker.succeed(submit(prompt=f"axis {axis}"))
        row = [float(place == axis) for place in range(WIDTH)]
        segments = Segments(artifacts, "pocket-m")
        segments.write(*segments.encode(Segment.of(lease.job_id, lease.fence, {0: row})))
        jobs.append(lease.job_id)
    return jobs


def test_pictures_are_found_by_text(
    client: TestClient, worker: PlayedWorker, kept: list[str], redis: Redis
) -> None:
    with answering(client, worker, (0.6, 0.8, 0, 0)) as seen:
        hits = client.get("/v1/search", params={"q": "mostly the second", "limit": 2}).json()
        again = client.get("/v1/search", params={"q": "mostly the second", "limit": 2}).json()
    assert [(hit["job_id"], hit["prompt"]) for hit in hits["data"]] == [
        (kept[1], "axis 1"),
        (kept[0], "axis 0"),
    ]
    assert [hit["similarity"] for hit in hits["data"]] == pytest.approx([0.8, 0.6])
    assert client.get(hits["data"][0]["image"]["url"]).status_code == 200
    assert again == hits
    assert [task.text for task in seen] == ["mostly the second"]  # asked once
    assert len(client.get("/v1/jobs").json()["data"]) == 3  # the query left no job


def test_a_query_whose_job_somebody_cancels_says_so_at_once(client: TestClient) -> None:
    """It was not the time that ran out."""

    def cancel() -> None:
        end = time.monotonic() + 30
        while not (jobs := client.get("/v1/jobs").json()["data"]) and time.monotonic() < end:
            time.sleep(0.01)
        client.post(f"/v1/jobs/{jobs[0]['id']}/cancel")

    with ThreadPoolExecutor(1) as other:
        other.submit(cancel)
        answer = client.get("/v1/search", params={"q": "x"})
    assert (answer.status_code, answer.json()["title"]) == (409, "Job canceled")
    assert client.get("/v1/jobs").json()["data"] == []


def test_an_aesthetic_score_moves_the_query(
    client: TestClient, worker: PlayedWorker, kept: list[str], artifacts: ArtifactStore
) -> None:
    library = EmbeddingLibrary(artifacts)
    library.put("rating9", embedding_file("rating9", clip="pocket-m", vector=(0, 0, 5, 0)))
    library.put("rating2", embedding_file("rating2", clip="pocket-s"))
    ask: dict[str, str | int] = {"q": "the first", "aesthetic_score": 9}
    with answering(client, worker, (1, 0, 0, 0)):
        default = client.get("/v1/search", params=ask).json()["data"]
        strong = client.get("/v1/search", params={**ask, "aesthetic_weight": 2}).json()["data"]
    # unit((1, 0, 0.5)) and unit((1, 0, 2))
    assert [hit["similarity"] for hit in default] == pytest.approx([0.894427, 0.447214, 0], abs=1e-5)
    assert [hit["job_id"] for hit in strong[:2]] == [kept[2], kept[0]]
    refused: list[tuple[dict[str, str | float], tuple[int, str, list[str]]]] = [
        ({"aesthetic_score": 10}, (422, "invalid_request", ["aesthetic_score"])),
        ({"aesthetic_score": ""}, (422, "invalid_request", ["aesthetic_score"])),
        ({"aesthetic_score": "null"}, (422, "invalid_request", ["aesthetic_score"])),
        ({"aesthetic_weight": 0.5}, (422, "invalid_request", ["aesthetic_weight"])),
        ({"aesthetic_score": 9, "aesthetic_weight": "nan"}, (422, "invalid_request", ["aesthetic_weight"])),
        ({"aesthetic_score": 5}, (404, "unknown_embedding", ["aesthetic_score"])),
        ({"aesthetic_score": 2}, (422, "clip_mismatch", ["aesthetic_score"])),
        ({"limit": 0}, (422, "invalid_request", ["limit"])),
    ]
    for extra, expected in refused:
        assert problem(client.get("/v1/search", params={"q": "x", **extra})) == expected


def test_pictures_are_found_by_picture(
    client: TestClient, worker: PlayedWorker, kept: list[str], artifacts: ArtifactStore
) -> None:
    with answering(client, worker, (0, 0, 1, 0)) as seen:
        hits = client.post("/v1/search", files={"picture": upload(png())}, data={"limit": 1}).json()
        client.post("/v1/search", data={"job": f"{kept[0]}/0"}, files={"ignored": b""})
    assert [hit["job_id"] for hit in hits["data"]] == [kept[2]]
    uploaded, other = (task.picture or "" for task in seen)
    assert other.startswith(kept[0])
    assert artifacts.keys(uploaded.split("/")[0]) == []
    assert problem(client.post("/v1/search", data={"limit": "1"}))[:2] == (422, "invalid_request")


def test_pictures_of_deleted_jobs_and_of_lost_executions_are_not_found(
    client: TestClient, worker: PlayedWorker, kept: list[str], artifacts: ArtifactStore
) -> None:
    segments = Segments(artifacts, "pocket-m")
    segments.write(*segments.encode(Segment.of(kept[1], "7-lost", {0: [0.0, 1.0, 0.0, 0.0]})))
    client.delete(f"/v1/jobs/{kept[0]}")
    with answering(client, worker, (0.6, 0.8, 0, 0)):
        hits = client.get("/v1/search", params={"q": "x"}).json()["data"]
    assert [hit["job_id"] for hit in hits] == [kept[1], kept[2]]
    assert sorted(key.split("/")[-3] for key in list(segments.keys())) == sorted(kept[1:])


def test_once_every_picture_was_deleted_a_search_finds_nothing(
    client: TestClient, worker: PlayedWorker, kept: list[str]
) -> None:
    with answering(client, worker, (1, 0, 0, 0)):
        assert len(client.get("/v1/search", params={"q": "x"}).json()["data"]) == 3
        for job_id in kept:
            client.delete(f"/v1/jobs/{job_id}")
        by_text = client.get("/v1/search", params={"q": "x"})
        by_picture = client.post("/v1/search", files={"picture": upload(png())})
    assert [(answer.status_code, answer.json()["data"]) for answer in (by_text, by_picture)] == [
        (200, [])
    ] * 2


def test_a_picture_of_a_job_that_is_about_to_commit_stays_in_the_index(
    client: TestClient, submit: Callable[..., str], worker: PlayedWorker, artifacts: ArtifactStore
) -> None:
    lease = worker.claim(submit(prompt="late"))
    segments = Segments(artifacts, "pocket-m")
    segments.write(*segments.encode(Segment.of(lease.job_id, lease.fence, {0: [1.0, 0.0, 0.0, 0.0]})))
    with answering(client, worker, (1, 0, 0, 0)):
        assert client.get("/v1/search", params={"q": "x"}).json()["data"] == []
        worker.leases.succeed(lease, worker.store(lease))
        (hit,) = client.get("/v1/search", params={"q": "x"}).json()["data"]
    assert hit["job_id"] == lease.job_id


def test_the_forms_are_described(client: TestClient) -> None:
    paths = json.dumps(client.get("/openapi.json").json()["paths"])
    for path in ("/v1/aesthetic-embeddings/import", "/v1/scores", "/v1/search"):
        assert path in paths
    assert "multipart/form-data" in paths


@pytest.mark.parametrize("name", ["..", "a b", "-a", "a" * 101, "%E9", "%00"])
def test_a_name_that_no_embedding_can_have_is_as_unknown_as_any(client: TestClient, name: str) -> None:
    path = f"/v1/aesthetic-embeddings/{name}" if name != ".." else "/v1/aesthetic-embeddings/%2e%2e"
    for answer in (client.get(path), client.delete(path), client.get(f"{path}/file")):
        assert problem(answer) == (404, "unknown_embedding", []), path


@pytest.mark.parametrize(
    ("path", "field", "most"),
    [
        ("/v1/scores", "pictures", 64),
        ("/v1/scores", "jobs", 256),
        ("/v1/aesthetic-embeddings", "minus_pictures", 256),
    ],
)
def test_what_comes_in_hundreds_is_counted_before_it_is_looked_at(
    client: TestClient, path: str, field: str, most: int
) -> None:
    # A file where a text should be, and a text where a file should be.
    given: dict[str, Any] = (
        {"files": [("jobs", upload(b""))] * 500} if field == "jobs" else {"data": {field: ["x"] * 500}}
    )
    answer = client.post(path, **given)
    assert problem(answer)[:2] == (422, "invalid_request")
    errors = {error["field"]: error for error in answer.json()["errors"]}
    assert errors[field]["limit"] == most
    assert "not 500" in errors[field]["message"]
