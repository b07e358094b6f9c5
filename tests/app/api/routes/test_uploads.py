"""Pictures that callers upload, and requests that name them."""

import base64
import io
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from redis import Redis
from starlette.testclient import TestClient

from app.api.main import create_app
from app.api.operation import sweeper
from app.api.routes.uploads import MAX_FILES
from app.api.settings import ApiSettings
from jobs.db.scripts import PREFIX
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import input_key
from tests.app.conftest import LocalClient
from tests.app.played_worker import PlayedWorker
from tests.brought_pictures import encoded, lying, refused, same_scene, scene

PNG = {"Content-Type": "image/png"}
ANN, BOB = {"X-Forwarded-User": "ann"}, {"X-Forwarded-User": "bob"}
NOBODYS = "sha256:" + "0" * 64


def upload(client: TestClient, file: bytes, **headers: str) -> dict[str, Any]:
    answer = client.post("/v1/uploads", content=file, headers=PNG | headers)
    assert answer.status_code == 201, answer.text
    (kept,) = answer.json()["data"]
    return dict(kept)


def guided_by(*images: str) -> dict[str, Any]:
    objectives = [{"type": "image", "image": image} for image in images]
    return {"prompt": "a red apple", "guidance": {"objectives": objectives}}


def stored(settings: ApiSettings) -> list[Path]:
    return [file for file in Path(settings.artifacts_url).rglob("*") if file.is_file()]


def test_a_picture_is_uploaded_as_the_body(client: TestClient) -> None:
    kept = upload(client, lying(6))
    assert (kept["width"], kept["height"], kept["name"]) == (48, 48, "")
    life = datetime.fromisoformat(kept["expires_at"]) - datetime.fromisoformat(kept["created_at"])
    assert life == timedelta(days=1)
    content = client.get(f"/v1/uploads/{kept['id']}/content")
    assert content.headers["content-type"] == "image/png"
    assert kept["id"] == "sha256:" + sha256(content.content).hexdigest()
    assert kept["bytes"] == len(content.content)
    assert client.get(f"/v1/uploads/{kept['id']}").json() == kept
    assert client.head(f"/v1/uploads/{kept['id']}").status_code == 200
    assert client.get("/v1/uploads").json() == {"data": [kept]}


def test_several_pictures_are_uploaded_in_a_form_in_their_order(client: TestClient) -> None:
    files = [("files", (f"{name}.png", encoded(scene(side, side)))) for name, side in (("a", 30), ("b", 20))]
    answer = client.post("/v1/uploads", files=files)
    assert answer.status_code == 201, answer.text
    assert [(each["name"], each["width"]) for each in answer.json()["data"]] == [("a.png", 30), ("b.png", 20)]


def test_a_picture_is_stored_whole_with_its_transparency_and_nothing_else(client: TestClient) -> None:
    clear = scene(700, 500).convert("RGBA")
    clear.putalpha(Image.fromarray(np.tile(np.arange(700, dtype=np.uint8), (500, 1))))
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    kept = upload(client, encoded(clear, exif=exif))
    with Image.open(io.BytesIO(client.get(f"/v1/uploads/{kept['id']}/content").content)) as shown:
        assert (shown.mode, shown.size, shown.info) == ("RGBA", (700, 500), {})
        assert shown.tobytes() == clear.tobytes()


def test_one_picture_in_many_encodings_is_one_upload(client: TestClient) -> None:
    same = same_scene()
    ids = {upload(client, same[name])["id"] for name in ("plain", "rgba", "exif6.png", "16 bits a channel")}
    assert len(ids) == 1
    assert len(client.get("/v1/uploads").json()["data"]) == 1


def test_what_is_no_picture_is_refused_and_leaves_nothing(client: TestClient, settings: ApiSettings) -> None:
    for name, file in refused().items():
        answer = client.post("/v1/uploads", content=file, headers=PNG)
        assert (answer.status_code, answer.json()["type"]) == (422, "/errors/invalid_file"), (
            name,
            answer.text,
        )
        form = client.post(
            "/v1/uploads", files=[("files", ("good.png", encoded(scene()))), ("files", (name, file))]
        )
        assert (form.status_code, form.json()["type"]) == (422, "/errors/invalid_file"), (name, form.text)
        assert form.json()["errors"][0]["field"] == "files"
    assert client.get("/v1/uploads").json() == {"data": []}
    assert stored(settings) == []


def test_a_refusal_takes_back_only_what_is_new(client: TestClient) -> None:
    before = upload(client, encoded(scene()))
    half = refused()["half a png"]
    files = [("files", ("a.png", file)) for file in (encoded(scene()), encoded(scene(9, 9)), half)]
    assert client.post("/v1/uploads", files=files).status_code == 422
    assert [each["id"] for each in client.get("/v1/uploads").json()["data"]] == [before["id"]]


@pytest.mark.parametrize(
    ("options", "status", "kind", "words"),
    [
        (
            {"content": b"{}", "headers": {"Content-Type": "application/json"}},
            415,
            "unsupported_media_type",
            "image/png",
        ),
        ({"content": b"a"}, 415, "unsupported_media_type", "files"),
        ({"files": {"picture": ("a.png", b"")}}, 422, "invalid_request", "send pictures as files"),
        ({"files": {"other": ("a.png", b"")}, "data": {"files": "a"}}, 422, "invalid_request", "not a text"),
        (
            {"content": b"--b--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
            422,
            "invalid_request",
            "1 to 64",
        ),
        ({"content": b"", "headers": PNG}, 422, "invalid_file", "no PNG, JPEG or WebP"),
        (
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
            400,
            "invalid_form",
            "boundary",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(
    client: TestClient, options: dict[str, Any], status: int, kind: str, words: str
) -> None:
    answer = client.post("/v1/uploads", **options)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/errors/{kind}"), answer.text
    assert words in answer.json()["detail"]


def test_more_files_than_are_taken_are_refused(client: TestClient) -> None:
    files = [("files", ("a.png", encoded(scene(1, 1)))) for _ in range(MAX_FILES + 1)]
    answer = client.post("/v1/uploads", files=files)
    assert (answer.status_code, answer.json()["type"]) == (422, "/errors/invalid_request")
    assert str(MAX_FILES) in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == "files"


def test_a_body_may_be_as_long_as_a_form_with_files_and_no_longer(settings: ApiSettings) -> None:
    small = settings.model_copy(update={"max_body_bytes": 1024, "max_upload_bytes": 100_000})
    noise = Image.effect_noise((150, 150), 200).convert("RGB")
    with LocalClient(create_app(small)) as client:
        upload(client, encoded(noise))
        answer = client.post("/v1/uploads", content=bytes(100_001), headers=PNG)
        assert (answer.status_code, answer.json()["type"]) == (413, "/errors/body_too_large")
        assert "100000" in answer.json()["detail"]
        assert client.post("/v1/scores", content=encoded(noise), headers=PNG).status_code == 413


def test_another_callers_upload_is_as_if_it_did_not_exist(client: TestClient) -> None:
    mine = upload(client, encoded(scene()), **ANN)["id"]

    def told(path: str, headers: dict[str, str], method: str = "GET") -> tuple[int, str]:
        answer = client.request(method, path, headers=headers)
        problem = answer.json()
        return answer.status_code, problem["type"] + problem["detail"].replace(mine, "ID").replace(
            NOBODYS, "ID"
        )

    for method, path in (("GET", "{}"), ("GET", "{}/content"), ("DELETE", "{}")):
        for who in (BOB, {}):
            there, not_there = (
                told(f"/v1/uploads/{path.format(each)}", who, method) for each in (mine, NOBODYS)
            )
            assert there == not_there
            assert there[0] == 404
    assert client.get("/v1/uploads", headers=BOB).json() == {"data": []}
    refusals = [
        client.post("/v1/jobs", json=guided_by(each), headers=BOB).json()["detail"]
        for each in (mine, NOBODYS)
    ]
    assert refusals[0] == refusals[1]
    assert client.get(f"/v1/uploads/{mine}", headers=ANN).status_code == 200


@pytest.mark.parametrize("name", ["sha256:0", "0" * 64, "%2e%2e", "sha256:" + "G" * 64, "sha256:" + "A" * 64])
def test_an_impossible_id_is_unknown(client: TestClient, name: str) -> None:
    answer = client.get(f"/v1/uploads/{name}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/errors/unknown_upload")


def test_a_job_names_an_upload_and_keeps_its_own_copy(client: TestClient, artifacts: ArtifactStore) -> None:
    kept = upload(client, encoded(scene()))["id"]
    job = client.post("/v1/jobs", json=guided_by(kept)).json()
    (objective,) = job["request"]["guidance"]["objectives"]
    assert objective["image"] == kept  # small and opaque, so it is kept as it is
    assert client.delete(f"/v1/uploads/{kept}").status_code == 204
    assert client.get(f"/v1/uploads/{kept}").status_code == 404
    digest = kept.removeprefix("sha256:")
    assert sha256(artifacts.get(input_key(job["id"], digest))).hexdigest() == digest
    shown = client.get(f"/v1/jobs/{job['id']}/inputs/{kept}")
    assert (sha256(shown.content).hexdigest(), shown.headers["content-type"]) == (digest, "image/png")
    for path in (f"/v1/jobs/{job['id']}/inputs/{NOBODYS}", f"/v1/jobs/{job['id']}/inputs/0.png"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["type"]) == (404, "/errors/unknown_image")
    assert client.get(f"/v1/jobs/0a/inputs/{kept}").json()["type"] == "/errors/unknown_job"
    again = client.post("/v1/jobs", json=guided_by(kept))  # as long as the job has it
    assert again.status_code == 202, again.text
    for each in (job, again.json()):
        client.delete(f"/v1/jobs/{each['id']}")
    assert client.post("/v1/jobs", json=guided_by(kept)).json()["type"] == "/errors/invalid_file"


def test_a_picture_is_the_same_input_in_whatever_form_it_is_named(
    client: TestClient, worker: PlayedWorker, submit: Callable[..., str]
) -> None:
    made = submit(width=64, height=64, seed=1)
    worker.succeed(made)
    file = client.get(f"/v1/jobs/{made}/images/0.png").content
    kept = upload(client, file)["id"]
    base64_file = base64.b64encode(file).decode()
    forms = [
        kept,
        f"/v1/uploads/{kept}",
        f"http://localhost/v1/uploads/{kept}",
        f"http://localhost/v1/uploads/{kept}/content",
        f"{made}/0",
        f"/v1/jobs/{made}/images/0",
        f"http://localhost/v1/jobs/{made}/images/0.png",
        base64_file,
        f"data:image/png;base64,{base64_file}",
    ]
    answer = client.post("/v1/jobs", json=guided_by(*forms))
    assert answer.status_code == 202, answer.text
    assert {each["image"] for each in answer.json()["request"]["guidance"]["objectives"]} == {kept}


@pytest.mark.parametrize(
    ("image", "kind", "words"),
    [
        (NOBODYS, "invalid_file", "no such upload"),
        ("0a/0", "unknown_job", "no job"),
        ("https://example.com/a.png", "invalid_request", "not fetched"),
        ("http://localhost/v1/queue", "invalid_request", "not fetched"),
        ("a cat!", "invalid_request", "not base64"),
        (base64.b64encode(b"a cat").decode(), "invalid_file", "no PNG, JPEG or WebP"),
    ],
)
def test_a_name_that_leads_to_no_picture_is_refused_with_its_field(
    client: TestClient, settings: ApiSettings, image: str, kind: str, words: str
) -> None:
    answer = client.post("/v1/jobs", json=guided_by(image))
    assert answer.json()["type"] == f"/errors/{kind}", answer.text
    assert words in answer.json()["detail"]
    if kind != "unknown_job":
        assert [error["field"] for error in answer.json()["errors"]] == ["guidance.objectives.0.image"]
    assert stored(settings) == []


def test_a_picture_of_a_job_that_has_not_ended_is_refused(
    client: TestClient, submit: Callable[..., str]
) -> None:
    answer = client.post("/v1/jobs", json=guided_by(f"{submit()}/0"))
    assert (answer.status_code, answer.json()["type"]) == (409, "/errors/job_not_finished")
    assert answer.json()["errors"][0]["field"] == "guidance.objectives.0.image"


def test_beyond_its_bytes_a_caller_is_told_to_delete_some(settings: ApiSettings) -> None:
    small = settings.model_copy(update={"max_uploads_kept_bytes": 1 << 20})
    noise = [encoded(Image.effect_noise((400, 400), 90 + each).convert("RGB")) for each in range(9)]
    with LocalClient(create_app(small)) as client:
        files = [("files", ("a.png", file)) for file in noise]
        answer = client.post("/v1/uploads", files=files)
        assert (answer.status_code, answer.json()["type"]) == (429, "/errors/uploads_full")
        assert "1048576" in answer.json()["detail"]
        assert answer.json()["errors"][0]["field"] == "files"
        assert answer.headers["Retry-After"]
        assert client.get("/v1/uploads").json() == {"data": []}
        assert stored(small) == []
        upload(client, noise[0])


def test_expired_uploads_are_swept_by_the_server(
    settings: ApiSettings, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "EXPIRE_EVERY_S", 0.1)
    short = settings.model_copy(update={"upload_retention_s": 0.2})
    with LocalClient(create_app(short)) as client:
        kept = upload(client, encoded(scene()))["id"]
        for _ in range(600):
            if client.get(f"/v1/uploads/{kept}").status_code == 404 and not stored(short):
                break
            time.sleep(0.1)
        assert stored(short) == []
    assert not list(redis.scan_iter(f"{PREFIX}upload*"))
