"""Pictures that callers bring, by every way in: the same is read, the same is refused, and nothing is left of it."""

import base64
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.pictures import uploads
from app.api.settings import ApiSettings
from jobs.db.scripts import PREFIX
from jobs.pictures.reader import KEPT_PIXELS
from jobs.requests.tasks import Place, QueryTask
from jobs.status.job import JobStatus
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import input_key
from tests.app.conftest import LocalClient, serving
from tests.app.played_worker import PlayedWorker
from tests.brought_pictures import (
    SIDE,
    encoded,
    greys,
    lying,
    refused,
    same_greys,
    same_scene,
    same_white,
    scene,
)
from tests.waiting import until

REFUSED = refused()
LEVELS = 12  # of 255, that a lossy encoding or a palette may be off
WHITE = Image.new("RGB", (SIDE, SIDE), "white")
SAME = [
    *[(f"scene: {name}", file, scene()) for name, file in same_scene().items()],
    *[(f"grey: {name}", file, greys()) for name, file in same_greys().items()],
    *[(f"white: {name}", file, WHITE) for name, file in same_white().items()],
]
FIELDS = {
    "/v1/scores": "pictures",
    "/v1/aesthetic-embeddings": "pictures",
    "/v1/search": "picture",
    "/v1/jobs": "guidance.objectives.1.image",
    "/v1/images": "guidance.objectives.1.image",
}


def guided_by(*files: bytes | str) -> dict[str, Any]:
    """Fields of a request whose objectives are a text and these pictures."""
    objectives = [{"type": "text", "text": "a pear"}] + [
        {"type": "image", "image": file if isinstance(file, str) else base64.b64encode(file).decode()}
        for file in files
    ]
    return {"prompt": "a red apple", "guidance": {"objectives": objectives}}


def send(client: TestClient, path: str, file: bytes) -> Any:
    """A picture by one of the ways in."""
    if path in ("/v1/jobs", "/v1/images"):
        return client.post(path, json=guided_by(file))
    data = {"name": "warm", "clip": "pocket-s"} if path == "/v1/aesthetic-embeddings" else {}
    return client.post(path, data=data, files={FIELDS[path]: ("mine.png", file, "image/png")})


Stored = Callable[[], list[str]]


@pytest.fixture
def stored(settings: ApiSettings) -> Stored:
    """Keys of all that is in the artifact store."""
    root = Path(settings.artifacts_url)
    return lambda: sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file())


def apart(png: bytes, other: Image.Image) -> int:
    """The largest difference of a stored picture from another, in levels."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        assert picture.mode == "RGB"
        assert picture.size == other.size
        assert set(picture.info) == set()
        difference = np.asarray(picture).astype(int) - np.asarray(other.convert("RGB")).astype(int)
    return int(np.abs(difference).max())


@pytest.mark.parametrize("path", FIELDS)
def test_what_is_no_picture_is_refused_alike_by_every_way_in_and_leaves_nothing(
    client: TestClient, stored: Stored, path: str
) -> None:
    for name, file in REFUSED.items():
        if path in ("/v1/jobs", "/v1/images") and len(file) > 140_000:
            continue  # too long for a request
        answer = send(client, path, file)
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (422, "/errors/invalid_file"), (name, problem)
        assert [error["field"] for error in problem["errors"]] == [FIELDS[path]], name
    assert client.get("/v1/jobs").json()["data"] == []
    assert stored() == []


@pytest.mark.parametrize("path", ["/v1/scores", "/v1/aesthetic-embeddings"])
def test_uploads_are_the_same_in_whatever_encoding_they_come(
    client: TestClient, worker: PlayedWorker, artifacts: ArtifactStore, path: str
) -> None:
    files = [("pictures", (name, file, "image/png")) for name, file, _ in SAME]
    answer = client.post(
        path, data={"name": "warm", "clip": "pocket-s"} if "embeddings" in path else {}, files=files
    )
    assert answer.status_code == 202, answer.text
    keys = worker.claim(answer.json()["id"]).request.pictures  # type: ignore[union-attr]
    for key, (name, _, shown) in zip(keys, SAME, strict=True):
        assert apart(artifacts.get(key), shown) <= LEVELS, name


def test_pictures_of_objectives_are_the_same_in_whatever_encoding_they_come(
    client: TestClient, artifacts: ArtifactStore
) -> None:
    for start in range(0, len(SAME), 20):
        some = SAME[start : start + 20]
        answer = client.post("/v1/jobs", json=guided_by(*[file for _, file, _ in some]))
        assert answer.status_code == 202, answer.text
        job = answer.json()
        shown = [each["image"] for each in job["request"]["guidance"]["objectives"][1:]]
        for (name, _, looks), image in zip(some, shown, strict=True):
            png = artifacts.get(input_key(job["id"], image.removeprefix("sha256:")))
            assert apart(png, looks) <= LEVELS, name


def test_pictures_that_are_searched_by_are_the_same_in_whatever_encoding_they_come(
    client: TestClient, worker: PlayedWorker, artifacts: ArtifactStore, stored: Stored
) -> None:
    seen: list[bytes] = []
    done = threading.Event()

    def serve() -> None:
        while not done.wait(0.01):
            lease = worker.leases.claim_next()
            if lease is not None:
                assert isinstance(lease.request, QueryTask)
                seen.append(artifacts.get(lease.request.picture or ""))
                worker.leases.answer(lease, Place(clip=lease.request.clip, vector=(1.0, 0.0)))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        for _, file, _ in SAME:
            assert send(client, "/v1/search", file).json()["data"] == []
    finally:
        done.set()
        thread.join()
    for png, (name, _, shown) in zip(seen, SAME, strict=True):
        assert apart(png, shown) <= LEVELS, name
    assert stored() == []


def test_no_stored_picture_is_larger_than_a_clip_can_use(
    client: TestClient, artifacts: ArtifactStore, stored: Stored
) -> None:
    large = encoded(scene(3000, 2000), "JPEG", quality=60)
    assert send(client, "/v1/scores", large).status_code == 202
    assert send(client, "/v1/jobs", large).status_code == 202
    before = stored()
    assert [key.split("/")[1] for key in before] == ["uploads", "inputs"]
    for key in before:
        with Image.open(io.BytesIO(artifacts.get(key))) as picture:
            assert 0.95 * KEPT_PIXELS < picture.width * picture.height <= KEPT_PIXELS


def test_the_pictures_of_one_request_have_a_limit_together(
    client: TestClient, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_PIXELS_TOGETHER", 10_000_000)
    files = [
        ("pictures", (f"{number}.png", encoded(Image.new("1", (2000, 2000))), "image/png"))
        for number in range(3)
    ]
    assert client.post("/v1/scores", files=files[:2]).status_code == 202
    answer = client.post("/v1/scores", files=files)
    assert answer.status_code == 422
    assert "too large together: at most 10 megapixels" in answer.json()["detail"]
    assert len(stored()) == 2


def test_a_picture_of_an_objective_is_kept_beside_its_job_and_named_by_its_digest(
    client: TestClient, stored: Stored, redis: Redis
) -> None:
    file = lying(6)
    job = client.post("/v1/jobs", json=guided_by(file, file)).json()
    first, second = (each["image"] for each in job["request"]["guidance"]["objectives"][1:])
    assert first == second
    assert first.startswith("sha256:")
    (key,) = stored()
    assert key == input_key(job["id"], first.removeprefix("sha256:"))
    record = redis.hgetall(f"{PREFIX}job:{job['id']}")
    assert sum(map(len, record.values())) < 1500
    client.post(f"/v1/jobs/{job['id']}/cancel")
    assert stored() == [key]
    client.delete(f"/v1/jobs/{job['id']}")
    assert stored() == []


def test_the_request_of_a_job_can_be_sent_again_as_long_as_some_job_keeps_its_picture(
    client: TestClient, artifacts: ArtifactStore, stored: Stored
) -> None:
    first = client.post("/v1/jobs", json=guided_by(encoded(scene()))).json()
    again = client.post("/v1/jobs", json=first["request"])
    assert again.status_code == 202, again.text
    assert again.json()["request"] == first["request"]
    client.delete(f"/v1/jobs/{first['id']}")
    third = client.post("/v1/jobs", json=first["request"]).json()
    (key,) = (key for key in stored() if key.startswith(third["id"]))
    assert apart(artifacts.get(key), scene()) == 0
    for job_id in (again.json()["id"], third["id"]):
        client.delete(f"/v1/jobs/{job_id}")
    refusal = client.post("/v1/jobs", json=first["request"])
    assert (refusal.status_code, refusal.json()["type"]) == (422, "/errors/invalid_file")
    assert "no kept job has this picture; send it again" in refusal.json()["detail"]
    assert refusal.json()["errors"][0]["field"] == "guidance.objectives.1.image"


def test_a_kept_picture_that_was_changed_or_lost_in_the_store_is_not_taken_for_it(
    client: TestClient, artifacts: ArtifactStore, stored: Stored
) -> None:
    jobs = [client.post("/v1/jobs", json=guided_by(encoded(scene()))).json() for _ in range(2)]
    for job, data in zip(jobs, (encoded(greys()), None), strict=True):
        (key,) = (key for key in stored() if key.startswith(job["id"]))
        artifacts.delete(key)
        if data is not None:
            artifacts.put(key, data)
    assert client.post("/v1/jobs", json=jobs[0]["request"]).status_code == 422


def test_a_replay_and_a_refusal_keep_no_pictures_of_their_own(client: TestClient, stored: Stored) -> None:
    key = {"Idempotency-Key": "k"}
    job = client.post("/v1/jobs", json=guided_by(encoded(scene())), headers=key).json()
    before = stored()
    again = client.post("/v1/jobs", json=guided_by(encoded(scene())), headers=key)
    assert (again.json()["id"], again.headers["Idempotency-Replayed"]) == (job["id"], "true")
    conflict = client.post("/v1/jobs", json=guided_by(encoded(greys())), headers=key)
    assert conflict.json()["type"] == "/errors/idempotency_conflict"
    half = client.post("/v1/jobs", json=guided_by(encoded(scene()), REFUSED["half a png"]))
    assert half.status_code == 422
    assert stored() == before
    for _ in range(4):
        client.post("/v1/jobs", json={"prompt": "x"})
    full = client.post("/v1/jobs", json=guided_by(encoded(scene())))
    assert full.json()["type"] == "/errors/queue_full"
    assert stored() == before


def test_beyond_the_bytes_that_may_be_kept_a_submission_is_told_to_come_later_and_leaves_nothing(
    settings: ApiSettings, stored: Stored
) -> None:
    noise = Image.effect_noise((512, 512), 200).convert("RGB")
    small = settings.model_copy(update={"max_kept_file_bytes": 1 << 20, "max_queued": 100})
    with LocalClient(create_app(small)) as client:
        for _ in range(20):
            answer = send(client, "/v1/scores", encoded(noise))
            if answer.status_code != 202:
                break
            before = stored()
        assert (answer.status_code, answer.json()["type"]) == (429, "/errors/queue_full")
        assert answer.headers["Retry-After"]
        assert "1048576" in answer.json()["detail"]
        assert stored() == before
        assert 1 < len(before) < 20


def test_dialects_refuse_pictures_alike(client: TestClient, stored: Stored) -> None:
    fields = guided_by(REFUSED["half a png"])
    bodies: dict[str, dict[str, Any]] = {
        "/v1/images/generations": fields,
        "/v1/predictions": {"version": "pocket", "input": fields},
        "/sdapi/v1/txt2img": {
            "prompt": "x",
            "alwayson_scripts": {"CLIP guidance": {"args": [fields["guidance"]]}},
        },
    }
    for path, body in bodies.items():
        answer = client.post(path, json=body)
        assert answer.status_code in (400, 422), (path, answer.text)
        assert "the picture is a damaged PNG file" in answer.text, (path, answer.text)
    assert stored() == []


def test_task_ids_of_a1111_do_not_meet_the_keys_of_others(client: TestClient, redis: Redis) -> None:
    with answered(client, redis):
        client.post("/sdapi/v1/txt2img", json={"prompt": "x", "force_task_id": "task1", "steps": 2})
    (place,) = (str(key).removeprefix(PREFIX) for key in redis.scan_iter(f"{PREFIX}idempotency*"))
    for guess in ("task1", place, place.partition(":")[2]):
        answer = client.post("/v1/jobs", json={"prompt": "y"}, headers={"Idempotency-Key": guess})
        assert answer.status_code == 202
        assert "Idempotency-Replayed" not in answer.headers


@contextmanager
def answered(client: TestClient, redis: Redis) -> Iterator[None]:
    """Cancel whatever is submitted."""
    done = threading.Event()

    def cancel() -> None:
        while not done.wait(0.02):
            for job in client.get("/v1/jobs", params={"status": JobStatus.QUEUED}).json()["data"]:
                client.post(f"/v1/jobs/{job['id']}/cancel")

    thread = threading.Thread(target=cancel)
    thread.start()
    yield
    done.set()
    thread.join()


@pytest.fixture
def stuck(client: TestClient) -> Iterator[Callable[[], None]]:
    """All threads that unpack pictures are busy, until this is called."""
    decoder = client.app.state.services.decoder  # type: ignore[attr-defined]
    go_on = threading.Event()
    busy: list[Future[bool]] = [decoder._pool.submit(go_on.wait) for _ in range(2)]

    def release() -> None:
        go_on.set()
        for each in busy:
            each.result()

    yield release
    release()


def test_however_many_pictures_wait_to_be_read_no_other_request_does(
    client: TestClient, stuck: Callable[[], None]
) -> None:
    answers: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(
                client.post(
                    "/v1/jobs",
                    json=guided_by(encoded(scene())),
                    headers={"Idempotency-Key": "one job for all"},
                ).status_code
            )
        )
        for _ in range(60)  # more than there are threads for other requests
    ]
    for thread in threads:
        thread.start()
    for _ in range(20):
        assert client.get("/v1/queue").status_code == 200
        assert client.post("/v1/jobs", json={"prompt": "x"}).status_code in (202, 429)
    assert answers == []
    for job in client.get("/v1/jobs").json()["data"]:
        client.delete(f"/v1/jobs/{job['id']}")
    stuck()
    for thread in threads:
        thread.join()
    assert answers == [202] * 60


def test_nothing_is_unpacked_for_a_client_that_has_hung_up(
    settings: ApiSettings, stored: Stored, json_logs: Callable[[], list[dict[str, Any]]]
) -> None:
    app = create_app(settings)
    decoder = app.state.services.decoder
    go_on = threading.Event()
    with serving(app) as url:
        busy = [decoder._pool.submit(go_on.wait) for _ in range(2)]
        files = [("pictures", (f"{number}.png", encoded(scene()), "image/png")) for number in range(5)]
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/v1/scores", files=files, timeout=httpx.Timeout(5, read=0.5))
        until(lambda: any(line.get("path") == "/v1/scores" for line in json_logs()))  # it is done with
        go_on.set()
        for each in busy:
            each.result()
        assert httpx.get(f"{url}/v1/jobs").json()["data"] == []
        assert decoder._pool._work_queue.qsize() == 0
    assert stored() == []
