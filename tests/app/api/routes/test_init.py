"""Requests that start from a picture, as clients send them."""

import base64
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import input_key
from tests.app.played_worker import PlayedWorker
from tests.brought_pictures import encoded, scene


def in_base64(width: int = 64, height: int = 64) -> str:
    return base64.b64encode(encoded(scene(width, height))).decode()


def asked(**init: Any) -> dict[str, Any]:
    return {"prompt": "a red apple", "init": {"image": in_base64(), **init}}


def test_the_picture_is_kept_whole_beside_the_job_and_named_by_its_digest(
    client: TestClient, artifacts: ArtifactStore
) -> None:
    job = client.post("/v1/jobs", json=asked(image=in_base64(1500, 1000))).json()
    init = job["request"]["init"]
    digest = init.pop("image").removeprefix("sha256:")
    assert artifacts.get(input_key(job["id"], digest))
    assert init == {
        "strength": 0.8,
        "exact_steps": False,
        "fit": "crop",
        "steps_planned": 25,
        "steps_run": 20,
    }
    assert (job["request"]["width"], job["request"]["height"]) == (80, 48)


def test_a_picture_of_a_job_can_be_started_from(client: TestClient, worker: PlayedWorker) -> None:
    first = client.post("/v1/jobs", json={"prompt": "a pear"}).json()["id"]
    worker.succeed(first)
    answer = client.post("/v1/jobs", json=asked(image=f"{first}/0"))
    assert answer.status_code == 202, answer.text
    assert answer.json()["request"]["init"]["image"].startswith("sha256:")


@pytest.mark.parametrize(
    ("init", "field", "words"),
    [
        ({"strength": 0}, "init.strength", "greater than or equal to 0.004"),
        ({"strength": 1.5}, "init.strength", "less than or equal to 1"),
        ({"strength": 0.01}, "init.strength", "the smallest that runs one is 0.04"),
        ({"strength": 0.05, "exact_steps": True}, "init.strength", "give a strength of 0.1 or more"),
        ({"fit": "tile"}, "init.fit", "'crop', 'stretch' or 'pad'"),
        ({"image": "!"}, "init.image", "not base64"),
        ({"size": 3}, "init.size", "there is no field of this name"),
    ],
)
def test_what_cannot_be_served_names_its_field_and_limit(
    init: dict[str, Any], field: str, words: str, client: TestClient
) -> None:
    answer = client.post("/v1/jobs", json=asked(**init))
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert words in error["message"]


def test_a_mask_is_kept_beside_its_picture(client: TestClient, artifacts: ArtifactStore) -> None:
    mask = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    mask.paste((0, 0, 0, 255), (10, 10, 20, 20))
    fields = {**asked(), "mask": {"image": base64.b64encode(encoded(mask)).decode(), "blur": 4}}
    job = client.post("/v1/jobs", json=fields).json()
    for field in ("init", "mask"):
        digest = job["request"][field]["image"].removeprefix("sha256:")
        assert artifacts.get(input_key(job["id"], digest))


def test_an_empty_mask_is_refused(client: TestClient) -> None:
    black = base64.b64encode(encoded(Image.new("L", (64, 64)))).decode()
    answer = client.post("/v1/jobs", json={**asked(), "mask": {"image": black}})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "mask.image"
    assert "the mask is empty: no part of it is white" in error["message"]
    assert client.get("/v1/jobs").json()["data"] == []


def test_a_damaged_picture_is_refused_with_its_field(client: TestClient) -> None:
    answer = client.post("/v1/jobs", json=asked(image=base64.b64encode(encoded(scene())[:60]).decode()))
    assert (answer.status_code, answer.json()["type"]) == (422, "/errors/invalid_file")
    assert [error["field"] for error in answer.json()["errors"]] == ["init.image"]


def test_a_picture_can_be_made_wider(client: TestClient) -> None:
    answer = client.post("/v1/jobs", json=asked() | {"outpaint": {"right": 16}})
    assert answer.status_code == 202, answer.text
    request = answer.json()["request"]
    assert (request["width"], request["height"]) == (80, 64)
    assert request["outpaint"] == {"left": 0, "right": 16, "up": 0, "down": 0}
    assert (request["mask"]["image"], request["mask"]["area"]) == (None, "masked")


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"outpaint": {"left": 200}}, "outpaint.left", "128"),
        ({"outpaint": {"left": -1}}, "outpaint.left", "greater than or equal to 0"),
        ({"outpaint": {"top": 1}}, "outpaint.top", "there is no field of this name"),
        ({"hires": {"scale": 1}}, "hires.scale", "greater than 1"),
        ({"hires": {"upscaler": "sharpest"}}, "hires.upscaler", "'latent'"),
        ({"hires": {"scale": 4}}, "hires.scale", "128 px at most"),
        ({"mask": {}}, "mask.image", "give the picture of the mask"),
    ],
)
def test_what_cannot_be_drawn_larger_names_its_field_and_limit(
    fields: dict[str, Any], field: str, words: str, client: TestClient
) -> None:
    answer = client.post("/v1/jobs", json=asked() | fields)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert words in error["message"]
