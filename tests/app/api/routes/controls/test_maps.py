"""Maps before a job, and the maps that a job has read."""

import io
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.api.settings import ApiSettings
from jobs.pictures.maps.detection import map_of
from jobs.requests.conditions.maps import ResolvedMap
from tests.app.played_worker import PlayedWorker
from tests.brought_pictures import encoded, scene

IMAGE = b64encode(encoded(scene(48, 32))).decode()


@pytest.fixture
def settings(settings: ApiSettings, tmp_path: Path) -> ApiSettings:
    """An API whose catalog has a ControlNet; only a worker would read its files."""
    text, folder = settings.models_file.read_text(), settings.models_file.parent.absolute()
    file = tmp_path / "models.toml"
    added = f'\n[controls.edges]\npath = "{tmp_path / "edges"}"\npreprocess = "canny"\n'
    file.write_text(text.replace('"models/', f'"{folder}/models/') + added)
    return settings.model_copy(update={"models_file": file})


def opened(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        return picture.copy()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"model": "edges"},
        {"preprocess": "canny", "low": 20, "high": 40, "width": 64, "height": 64},
        {"preprocess": "scribble", "threshold": 90, "width": 24, "resolution": 64},
        {"preprocess": "shuffle", "seed": 9, "fit": "stretch", "height": 64},
    ],
)
def test_a_map_is_what_a_worker_would_make(client: TestClient, fields: dict[str, Any]) -> None:
    answer = client.post("/v1/controls/detect", json={"image": IMAGE, **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    made = opened(answer.content)
    own = {name: value for name, value in fields.items() if name not in {"model", "width", "height", "seed"}}
    preprocess = "canny" if "model" in fields else fields.get("preprocess", "none")
    how = ResolvedMap.model_validate({"preprocess": preprocess, **own, "image": IMAGE})
    size = fields.get("width", 48), fields.get("height", 32)
    wanted = map_of(scene(48, 32), how, size, fields.get("seed", 0))
    assert (made.size, made.tobytes()) == (size, wanted.tobytes())


def test_an_upload_and_a_jobs_picture_have_maps(client: TestClient, worker: PlayedWorker) -> None:
    upload = client.post("/v1/uploads", content=encoded(scene(48, 32)), headers={"Content-Type": "image/png"})
    job = client.post("/v1/jobs", json={"prompt": "a fox"}).json()
    worker.succeed(job["id"])
    for image in (upload.json()["data"][0]["id"], f"{job['id']}/0"):
        answer = client.post("/v1/controls/detect", json={"image": image, "preprocess": "canny"})
        assert answer.status_code == 200, answer.text
        assert set(np.unique(np.asarray(opened(answer.content)))) <= {0, 255}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": "depth"}, "model"),
        ({"preprocess": "depth"}, "preprocess"),
        ({"width": 4096}, "width"),
        ({"low": 300}, "low"),
        ({"resolution": 4}, "resolution"),
        ({"image": b64encode(b"no picture at all, " * 9).decode()}, "image"),
        ({"weight": 1}, "weight"),
    ],
)
def test_what_makes_no_map_is_refused_by_its_field(
    client: TestClient, fields: dict[str, Any], field: str
) -> None:
    answer = client.post("/v1/controls/detect", json={"image": IMAGE, **fields})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_job_names_and_serves_the_maps_of_its_controls(client: TestClient, worker: PlayedWorker) -> None:
    controls = [{"model": "edges", "image": IMAGE}, {"model": "edges", "image": IMAGE, "preprocess": "tile"}]
    job = client.post("/v1/jobs", json={"prompt": "a fox", "controls": controls}).json()
    path = f"/v1/jobs/{job['id']}/maps"
    assert job["maps"] == []
    assert client.get(f"{path}/0").status_code == 409
    worker.succeed(job["id"])
    done = client.get(f"/v1/jobs/{job['id']}").json()
    assert done["maps"] == [f"{path}/0", f"{path}/1"]
    maps = [opened(client.get(each).content) for each in done["maps"]]
    assert [each.size for each in maps] == [(64, 64)] * 2
    assert maps[0].tobytes() != maps[1].tobytes()
    assert client.get(f"{path}/2").status_code == 404


def test_a_job_without_controls_has_no_maps(client: TestClient, worker: PlayedWorker) -> None:
    job = client.post("/v1/jobs", json={"prompt": "a fox"}).json()
    worker.succeed(job["id"])
    assert client.get(f"/v1/jobs/{job['id']}").json()["maps"] == []
    assert client.get(f"/v1/jobs/{job['id']}/maps/0").status_code == 404
