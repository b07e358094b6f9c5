"""Requests that edit a picture, as clients send them, right and wrong."""

import base64
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.api.settings import ApiSettings
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import input_key
from tests.app.editor import with_editor
from tests.brought_pictures import encoded, scene

MOST = "less than or equal to 50"


@pytest.fixture
def settings(settings: ApiSettings, tmp_path: Path) -> ApiSettings:
    return with_editor(settings, tmp_path)


def in_base64(width: int = 64, height: int = 64) -> str:
    return base64.b64encode(encoded(scene(width, height))).decode()


def asked(**edit: Any) -> dict[str, Any]:
    return {"prompt": "make it blue", "model": "editor", "edit": {"image": in_base64(), **edit}}


def test_the_picture_is_kept_beside_the_job_and_its_shape_is_drawn(
    client: TestClient, artifacts: ArtifactStore
) -> None:
    job = client.post("/v1/jobs", json=asked(image=in_base64(1500, 1000))).json()
    edit = job["request"]["edit"]
    assert artifacts.get(input_key(job["id"], edit.pop("image").removeprefix("sha256:")))
    assert edit == {"image_cfg_scale": 1.7, "fit": "crop"}
    assert (job["request"]["width"], job["request"]["height"]) == (80, 48)
    assert job["request"]["init"] is None


def test_an_answer_can_be_sent_again(client: TestClient) -> None:
    first = client.post("/v1/jobs", json=asked(image_cfg_scale=2)).json()["request"]
    again = client.post("/v1/jobs", json=first)
    assert again.status_code == 202, again.text
    assert again.json()["request"] == first


def test_models_tell_their_kind(client: TestClient) -> None:
    models = {model["id"]: model for model in client.get("/v1/models").json()["data"]}
    assert {name: model["kind"] for name, model in models.items()} == {
        "pocket": "text",
        "big": "text",
        "editor": "edit",
    }
    scales = {name: model["defaults"]["image_cfg_scale"] for name, model in models.items()}
    assert scales == {"pocket": None, "big": None, "editor": 1.7}


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"edit": None}, "edit.image", "edits a picture as the prompt says"),
        ({"edit": None, "init": {"image": in_base64()}}, "edit.image", "give edit.image"),
        ({"edit": {}}, "edit.image", "required"),
        ({"edit": []}, "edit", "object"),
        ({"edit": "?"}, "edit", "object"),
        ({"model": "pocket"}, "edit", "models that do: editor"),
        ({"model": None}, "edit", "models that do: editor"),
        (asked(image_cfg_scale=50.5), "edit.image_cfg_scale", MOST),
        (asked(image_cfg_scale=10**400), "edit.image_cfg_scale", "number"),
        (asked(image_cfg_scale=-1), "edit.image_cfg_scale", "greater than or equal to 0"),
        (asked(image_cfg_scale="NaN"), "edit.image_cfg_scale", ""),
        (asked(image_cfg_scale=[1]), "edit.image_cfg_scale", "number"),
        (asked(strength=0.5), "edit.strength", "there is no field of this name"),
        (asked(image="!"), "edit.image", "not base64"),
        (asked(fit="tile"), "edit.fit", "'crop', 'stretch' or 'pad'"),
        ({"mask": {"image": in_base64()}}, "mask", "give init.image"),
        ({"outpaint": {"left": 16}}, "outpaint", "give init.image"),
        ({"init": {"image": in_base64()}, "outpaint": {"left": 16}}, "outpaint", "leave outpaint out"),
        ({"hires": {"scale": 4}}, "hires.scale", "128 px at most"),
    ],
)
def test_what_cannot_be_edited_names_its_field_and_limit(
    fields: dict[str, Any], field: str, words: str, client: TestClient
) -> None:
    answer = client.post("/v1/jobs", json=asked() | fields)
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert words in error["message"]
    assert client.get("/v1/jobs").json()["data"] == []


def test_a_number_that_is_none_is_refused_before_it_is_read(client: TestClient) -> None:
    body = '{"prompt": "x", "model": "editor", "edit": {"image": "sha256:00", "image_cfg_scale": NaN}}'
    answer = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text


def test_a_damaged_and_a_huge_picture_are_refused_with_their_field(client: TestClient) -> None:
    damaged = encoded(scene())[:60]
    huge = encoded(Image.new("1", (20_000, 20_000)))
    for file in (damaged, huge):
        answer = client.post("/v1/jobs", json=asked(image=base64.b64encode(file).decode()))
        assert 400 <= answer.status_code < 500, answer.text
        assert [error["field"] for error in answer.json()["errors"]] == ["edit.image"]


def test_a_quote_counts_the_rows_of_an_edit(client: TestClient) -> None:
    costs = [client.post("/v1/quote", json=asked(image_cfg_scale=scale)).json()["cost"] for scale in (1, 2)]
    assert costs[1] > 1.3 * costs[0]
