"""Pictures for a model that reads them by itself, over HTTP."""

import base64
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api.settings import ApiSettings
from jobs.queue.queue import JobQueue
from tests.brought_pictures import encoded, scene

UNCLIP = (
    '\n[models.unclip]\nfamily = "unclip"\npath = "unclip"\nclip = "pocket-m"\n'
    "width = 64\nheight = 64\nmin_px = 64\nmax_px = 64\n"
)
FOX = base64.b64encode(encoded(scene(64, 48))).decode()


@pytest.fixture
def settings(settings: ApiSettings, tmp_path: Path) -> ApiSettings:
    """An API whose catalog has a Stable unCLIP; only a worker would read its files."""
    text, folder = settings.models_file.read_text(), settings.models_file.parent.absolute()
    at, file = text.index("[clips"), tmp_path / "models.toml"
    file.write_text((text[:at] + UNCLIP + text[at:]).replace('"models/', f'"{folder}/models/'))
    return settings.model_copy(update={"models_file": file})


def asked(client: TestClient, **fields: Any) -> Any:
    return client.post("/v1/jobs", json={"model": "unclip", "prompt": "", **fields})


def test_a_job_with_a_picture_and_a_level_is_taken_and_answered(client: TestClient) -> None:
    answer = asked(client, image_prompts=[{"image": FOX, "noise_level": 300, "weight": 0.8}])
    assert answer.status_code == 202, answer.text
    (prompt,) = answer.json()["request"]["image_prompts"]
    assert (prompt["adapter"], prompt["noise_level"], prompt["weight"]) == (None, 300, 0.8)
    assert asked(client, image_prompts=[prompt]).status_code == 202
    assert (answer.json()["request"]["steps"], answer.json()["request"]["cfg_scale"]) == (20, 10)


@pytest.mark.parametrize("level", [-1, 1000, 1.5, "NaN", None, [1]])
def test_a_level_out_of_range_is_refused_with_its_name(client: TestClient, level: Any) -> None:
    answer = asked(client, image_prompts=[{"image": FOX, "noise_level": level}])
    assert answer.status_code == 422
    assert "noise_level" in answer.text


def test_a_level_is_refused_for_other_models(client: TestClient) -> None:
    answer = asked(client, model="pocket", image_prompts=[{"image": FOX, "noise_level": 5}])
    assert answer.status_code == 422
    assert "image_prompts.0.adapter" in answer.text


@pytest.mark.parametrize(("extra", "is_read"), [({}, True), ({"strength": "0.4"}, False)])
def test_a_variation_of_openais_is_one_that_the_model_reads(
    client: TestClient, working: None, queue: JobQueue, extra: dict[str, str], is_read: bool
) -> None:
    form = {"model": "unclip", **extra}
    answer = client.post("/v1/images/variations", data=form, files={"image": encoded(scene(64, 48))})
    assert answer.status_code == 200, answer.text
    request = queue.list(limit=1).data[0].generation
    assert bool(request.image_prompts) is is_read
    assert (request.init is None) is is_read
    assert ("reads the picture" in answer.text) is is_read
