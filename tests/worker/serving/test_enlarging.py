"""Upscaling beside the computing: others go on, and it ends when its job does."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from redis import Redis

from jobs.errors import JobFailedError
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.init import Fit
from jobs.requests.tasks import EnlargeTask, LargerPicture
from jobs.status.job import JobStatus
from tests.brought_pictures import encoded, scene
from tests.waiting import until
from tests.worker.serving.test_best_of_n import run, size_of
from tests.worker.serving.test_executions import House
from worker.models.registry import ModelRegistry
from worker.pictures import upscaling
from worker.pictures.upscaling import FACTOR, Upscaler

Ask = Callable[..., ResolvedRequest]


class Tiles:
    """Stands where the network does, which is not part of this project: counts its tiles, and waits at each."""

    def __init__(self) -> None:
        self.done = 0
        self.go_on = threading.Event()
        self.answer = 0.5
        self.seconds = 0.0

    def __call__(self, _upscaler: Upscaler, tile: np.ndarray) -> np.ndarray:
        """A grey tile."""
        assert self.go_on.wait(60)
        time.sleep(self.seconds)
        self.done += 1
        return np.full((3, tile.shape[1] * FACTOR, tile.shape[2] * FACTOR), self.answer, np.float32)


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tiles]:
    """64 tiles for each picture of 64 x 64."""
    pytest.importorskip("ncnn")
    tiles = Tiles()
    monkeypatch.setattr(upscaling, "TILE_PX", 8)
    monkeypatch.setattr(Upscaler, "_run", lambda upscaler, tile: tiles(upscaler, tile))
    yield tiles
    tiles.go_on.set()


@pytest.fixture
def house(redis: Redis, models: ModelRegistry, tmp_path: Path) -> House:
    return House(redis, models, tmp_path)


def test_other_jobs_are_settled_and_claimed_while_pictures_are_upscaled(
    house: House, ask: Ask, tiles: Tiles
) -> None:
    with house.running() as worker:
        large = [
            house.queue.submit(ask(steps=1, seed=seed, upscale={"factor": 2})).job.id for seed in range(4)
        ]
        for _ in large:
            assert worker.wait_for_room(60)
            assert worker.admit()
        until(lambda: all(execution.enlarging for execution in worker._held.all()))
        assert worker.wait_for_room(60)  # of four, which are all taken by jobs that the engine is done with
        assert run(house, worker, ask(steps=2, preview_every_steps=1)).status is JobStatus.SUCCEEDED
        assert [house.status(job_id) for job_id in large] == [JobStatus.RUNNING] * 4
        tiles.go_on.set()
        until(lambda: all(house.status(job_id) is JobStatus.SUCCEEDED for job_id in large))
        assert tiles.done == 4 * 64
        until(lambda: not worker._held)


def test_others_go_on_while_a_first_pass_is_enlarged_and_it_ends_within_a_tile_of_its_job(
    house: House, ask: Ask, tiles: Tiles
) -> None:
    with house.running() as worker:
        hires = {"upscaler": "x4plus-anime", "steps": 1, "strength": 0.5}
        drawn, canceled = (
            house.queue.submit(ask(steps=1, seed=seed, hires=hires)).job.id for seed in range(2)
        )
        for _ in range(2):
            assert worker.wait_for_room(60)
            assert worker.admit()
        assert run(house, worker, ask(steps=2)).status is JobStatus.SUCCEEDED
        house.queue.cancel(canceled)
        until(lambda: house.status(canceled) is JobStatus.CANCELED)
        assert house.status(drawn) is JobStatus.RUNNING
        tiles.go_on.set()
        until(lambda: house.status(drawn) is JobStatus.SUCCEEDED)
        assert tiles.done <= 64 + 1


@pytest.mark.parametrize(("fit", "size"), [(Fit.STRETCH, (96, 40)), (Fit.CROP, (30, 30))])
def test_pictures_that_a_task_brings_are_enlarged_beside_the_engine(
    house: House, ask: Ask, tiles: Tiles, fit: Fit, size: tuple[int, int]
) -> None:
    keys = [f"brought/{number}.png" for number in range(2)]
    for key in keys:
        house.artifacts.put(key, encoded(scene(32, 24)))
    brought = tuple(LargerPicture(key=key, pixels=768, width=size[0], height=size[1]) for key in keys)
    task = EnlargeTask(network="x4plus-anime", fit=fit, pictures=brought)
    with house.running() as worker:
        job_id = house.queue.submit(task).job.id
        assert worker.admit()
        until(lambda: worker._enlarging.working_since is not None)
        assert run(house, worker, ask(steps=1)).status is JobStatus.SUCCEEDED
        tiles.go_on.set()
        until(lambda: house.status(job_id).is_terminal)
    job = house.queue.get(job_id)
    assert (job.status, job.progress.step, job.progress.steps) == (JobStatus.SUCCEEDED, 2, 2)
    assert [(image.width, image.height) for image in job.images] == [size, size]
    assert {size_of(house, image.key) for image in house.queue.images(job_id)} == {size}
    assert tiles.done == 2 * 4 * 3


def test_a_task_whose_picture_is_gone_says_so(house: House, tiles: Tiles) -> None:
    tiles.go_on.set()
    gone = LargerPicture(key="brought/0.png", pixels=768, width=64, height=48)
    with house.running() as worker:
        job = run(house, worker, EnlargeTask(network="x4plus-anime", pictures=(gone,)))
    assert job.error is not None
    assert "was deleted" in job.error.message


def test_no_more_jobs_wait_to_be_upscaled_than_a_worker_may_hold(
    house: House, ask: Ask, tiles: Tiles
) -> None:
    with house.running() as worker:
        for seed in range(8):
            assert worker.wait_for_room(60)
            house.queue.submit(ask(steps=1, seed=seed, upscale={"factor": 2}))
            assert worker.admit()
        until(lambda: all(execution.enlarging for execution in worker._held.all()))
        assert len(worker._held) == 8
        assert not worker.wait_for_room(0)
        tiles.go_on.set()
        until(lambda: not worker._held)


@pytest.mark.parametrize("end", ["cancel", "delete", "deadline", "stop"])
def test_upscaling_ends_within_a_tile_when_its_job_does(
    house: House, ask: Ask, tiles: Tiles, end: str
) -> None:
    worker = house.worker("one")
    worker.start()
    timeout_s = 3.0 if end == "deadline" else 600
    asked = ask(steps=1, num_images=2, upscale={"factor": 2}, timeout_s=timeout_s)
    job_id = house.queue.submit(asked).job.id
    assert worker.admit()
    until(lambda: worker._enlarging.working_since is not None)
    (execution,) = worker._held.all()
    match end:
        case "cancel":
            house.queue.cancel(job_id)
            until(execution.work.stop.is_set)
        case "delete":
            house.queue.delete(job_id)
            until(execution.work.stop.is_set)
        case "deadline":
            until(lambda: execution.work.overdue)
        case "stop":
            closing = threading.Thread(target=worker.close, args=(0,))
            closing.start()
            until(lambda: worker._enlarging._closing)
    tiles.go_on.set()
    until(lambda: not worker._held)
    assert tiles.done == 1
    if end == "stop":
        closing.join(60)
        assert (house.status(job_id), house.queue.get(job_id).attempts) == (JobStatus.QUEUED, 0)
        (state,) = house.artifacts.keys(job_id)  # with the pictures that are yet to be enlarged
        assert state.endswith(".safetensors")
    else:
        until(lambda: house.artifacts.keys(job_id) == [])
        worker.close(0)
    if end == "cancel":
        assert house.status(job_id) is JobStatus.CANCELED
    if end == "deadline":
        error = house.queue.get(job_id).error
        assert error is not None
        assert error.type == "deadline_exceeded"


def test_jobs_take_turns_tile_by_tile(house: House, ask: Ask, tiles: Tiles) -> None:
    with house.running() as worker:
        tiles.seconds = 0.01
        many = house.queue.submit(ask(steps=1, num_images=4, upscale={"factor": 2})).job.id
        assert worker.admit()
        until(lambda: worker._enlarging.working_since is not None)
        one = house.queue.submit(ask(steps=1, upscale={"factor": 2})).job.id
        assert worker.admit()
        until(lambda: len(worker._enlarging._pieces) == 2)
        tiles.go_on.set()
        until(lambda: house.status(one) is JobStatus.SUCCEEDED)
        assert tiles.done < 64 * 4
        until(lambda: house.status(many) is JobStatus.SUCCEEDED)


def test_a_tile_that_is_not_finite_fails_its_job(house: House, ask: Ask, tiles: Tiles) -> None:
    tiles.answer = float("inf")
    tiles.go_on.set()
    with house.running() as worker:
        job = run(house, worker, ask(steps=1, upscale={"factor": 2}))
    assert job.error is not None
    assert (job.error.type, "not finite after upscaling" in job.error.message) == ("job_failed", True)
    with pytest.raises(JobFailedError, match="not finite"):
        Upscaler("x4plus-anime", 1)(torch.zeros(3, 8, 8), 4)


def test_an_upscaler_that_hangs_can_be_seen_though_the_engine_goes_on(
    house: House, ask: Ask, tiles: Tiles
) -> None:
    with house.running() as worker:
        house.queue.submit(ask(steps=1, upscale={"factor": 2}))
        assert worker.admit()
        until(lambda: worker._enlarging.working_since is not None)
        first = worker._sign_of_life()
        run(house, worker, ask(steps=3))
        assert worker._sign_of_life() == first
        tiles.go_on.set()
        until(lambda: not worker._held)
        assert worker._sign_of_life() != first
