"""Jobs with controls, from the queue to the artifact store: their maps are kept as long as their pictures."""

import io
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers import UNet2DConditionModel
from PIL import Image
from redis import Redis

from jobs.catalog.catalog import Catalog
from jobs.catalog.controls import ControlCard
from jobs.db import keys
from jobs.pictures.maps.detection import map_of
from jobs.queue.retention import Retention
from jobs.queue.submission import new_job_id
from jobs.requests.conditions.maps import Preprocessor
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from jobs.status.job import Job, JobStatus
from jobs.storage.job_files import JobFiles, input_key, map_key
from tests.brought_pictures import encoded, scene
from tests.waiting import until
from tests.worker.models.controls.conftest import control_lora, described
from tests.worker.models.families import checkpoints
from tests.worker.models.variants import POCKET
from tests.worker.serving.test_executions import House
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

PICTURE = encoded(scene(96, 64))
NAME = f"sha256:{sha256(PICTURE).hexdigest()}"
CONTROLS = [
    {"model": "edges", "image": NAME, "low": 10, "high": 20},
    {"model": "edges", "image": NAME, "preprocess": "shuffle", "weight": 0.5},
]


@pytest.fixture(scope="module")
def models(pocket_catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    """The pocket model, and a Control-LoRA of random numbers."""
    unet = UNet2DConditionModel.from_pretrained(POCKET / "unet")
    folder = described(tmp_path_factory.mktemp("controls") / "edges", control_lora(unet, seed=1, factor=4))
    card = ControlCard(id="edges", path=folder, base=("pocket",), preprocess=Preprocessor.CANNY)
    catalog = pocket_catalog.model_copy(update={"controls": (card,)})
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))


@pytest.fixture
def house(redis: Redis, models: ModelRegistry, tmp_path: Path) -> House:
    return House(redis, models, tmp_path)


def run(house: House, controls: list[dict[str, Any]], **fields: Any) -> Job:
    """A job after its end."""
    job_id = new_job_id()
    house.artifacts.put(input_key(job_id, NAME.removeprefix("sha256:")), PICTURE)
    asked = {"prompt": "a fox", "steps": 2, "seed": 7, "controls": controls, **fields}
    request = resolve(GenerateRequest.model_validate(asked), house.models.catalog)
    house.queue.submit(request, job_id=job_id)
    with house.running() as worker:
        assert worker.admit()
        until(lambda: house.status(job_id).is_terminal)
        until(lambda: not worker._held)
    return house.queue.get(job_id)


def maps_of(house: House, job: Job) -> list[Any]:
    """The maps that lie beside a job's pictures."""
    prefix = house.queue.images(job.id)[0].key.rpartition("/")[0]
    pngs = [house.artifacts.get(map_key(prefix, number)) for number in range(len(job.maps))]
    return [np.asarray(Image.open(io.BytesIO(png), formats=["PNG"])) for png in pngs]


def test_a_job_keeps_the_maps_that_its_controls_have_read(house: House) -> None:
    job = run(house, CONTROLS)
    assert job.status is JobStatus.SUCCEEDED
    assert job.maps == tuple(f"/v1/jobs/{job.id}/maps/{number}" for number in range(2))
    expected = [
        map_of(scene(96, 64), control, (64, 64), job.generation.seed) for control in job.generation.controls
    ]
    for made, wanted in zip(maps_of(house, job), expected, strict=True):
        assert np.array_equal(made, np.asarray(wanted))


def test_a_control_changes_the_picture_and_the_same_job_draws_it_again(house: House) -> None:
    pngs = [
        house.artifacts.get(house.queue.images(run(house, controls).id)[0].key)
        for controls in (CONTROLS, CONTROLS, [])
    ]
    first, again, plain = (np.asarray(Image.open(io.BytesIO(png))) for png in pngs)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, plain)


def test_the_best_of_several_keep_the_maps_too(house: House) -> None:
    job = run(house, CONTROLS[:1], select={"candidates": 3, "keep": 1})
    for place, _ in house.redis.zscan_iter(keys.ORPHANS):
        house.redis.zadd(keys.ORPHANS, {place: 1})
    assert Retention(house.redis, JobFiles(house.artifacts), keep_s=0).sweep() == 2
    assert len(maps_of(house, job)) == 1
    (image,) = house.queue.images(job.id)
    kept = [image.key, map_key(image.key.rpartition("/")[0], 0)]
    assert [key for key in house.artifacts.keys(job.id) if "/inputs/" not in key] == sorted(kept)


def test_a_second_pass_shows_the_map_of_the_first(house: House) -> None:
    job = run(house, CONTROLS[:1], hires={"scale": 2, "strength": 0.6})
    assert [made.shape for made in maps_of(house, job)] == [(64, 64, 3)]
    assert (job.images[0].width, job.images[0].height) == (128, 128)


def test_a_control_of_another_model_ends_its_job_with_the_reason(
    house: House, models: ModelRegistry, tmp_path: Path, redis: Redis
) -> None:
    folder = described(tmp_path / "other", control_lora(checkpoints.unet(), seed=1, factor=4))
    card = ControlCard(id="edges", path=folder)
    catalog = models.catalog.model_copy(update={"controls": (card,)})
    other = House(redis, ModelRegistry(catalog, models.device), tmp_path)
    job = run(other, CONTROLS[:1])
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert "control 'edges' was made for another model: its list of widths is" in job.error.message
    assert job.maps == ()
