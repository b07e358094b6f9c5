"""The ends of executions: by their own outcome, never by another's accident."""

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import stamina
import torch
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs.catalog.catalog import Catalog
from jobs.db.scripts import PREFIX
from jobs.errors import DeviceLostError
from jobs.queue.leases import Lease
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import EmbeddingTask
from jobs.status.job import Job, JobStatus
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.embeddings import EmbeddingLibrary
from tests.waiting import until
from tests.worker.models.predicting import pocket_of
from tests.worker.serving.test_best_of_n import run
from tests.worker.serving.test_executions import House
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs, read_inputs
from worker.pictures.picture import Picture
from worker.pictures.writer import PictureWriter
from worker.serving import publisher, storing
from worker.serving.executions import Executions
from worker.serving.files import ExecutionFiles
from worker.settings import WorkerSettings

Ask = Callable[..., ResolvedRequest]
CHOOSING = {"candidates": 3}


@pytest.fixture
def house(redis: Redis, models: ModelRegistry, tmp_path: Path) -> House:
    return House(redis, models, tmp_path)


def reason(job: Job) -> tuple[str, str]:
    assert job.error is not None
    return job.error.type, job.error.message


def test_an_error_in_settling_fails_the_job_at_once_and_blames_no_worker(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AttributeError("'float' object has no attribute 'numerator'")

    with house.running() as worker:
        with monkeypatch.context() as patch:
            patch.setattr(publisher, "best", fail)
            job = run(house, worker, ask(steps=1, select=CHOOSING))
        assert reason(job) == ("job_failed", "internal error: AttributeError")
        assert (job.attempts, job.starts) == (1, 1)
        until(lambda: house.artifacts.keys(job.id) == [])
        assert run(house, worker, ask(steps=1, select=CHOOSING)).status is JobStatus.SUCCEEDED


def test_an_error_after_the_commit_takes_nothing_back(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise TypeError

    monkeypatch.setattr(ExecutionFiles, "all_but", fail)
    with house.running() as worker:
        job = run(house, worker, ask(steps=1, select=CHOOSING))
        until(lambda: not worker._held)
    (image,) = house.queue.images(job.id)
    assert house.queue.get(job.id).status is JobStatus.SUCCEEDED
    assert house.artifacts.get(image.key)


def test_a_picture_that_is_lost_with_the_device_is_made_by_another_worker(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> None:
        raise DeviceLostError("the device is lost: an illegal memory access was encountered")

    with house.running() as worker:
        with monkeypatch.context() as patch:
            patch.setattr(PictureWriter, "write", lose)
            job_id = house.queue.submit(ask(steps=1, num_images=2)).job.id
            assert worker.admit()
            until(lambda: not worker._held)
        assert house.status(job_id) is JobStatus.QUEUED
        assert house.artifacts.keys(job_id) == []
        assert worker.admit()
        until(lambda: house.status(job_id) is JobStatus.SUCCEEDED)


def test_a_job_of_which_one_picture_cannot_be_stored_fails_and_leaves_none(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, put = house.artifacts.put, list[str]()

    def full(key: str, data: bytes) -> None:
        if key.endswith("/2.png"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(key, data)
        put.append(key)

    monkeypatch.setattr(house.artifacts, "put", full)
    stamina.set_active(False)  # a disk does not empty itself between two attempts
    try:
        with house.running() as worker:
            job = run(house, worker, ask(steps=1, num_images=4))
            until(lambda: not worker._held)
    finally:
        stamina.set_active(True)
    assert reason(job) == ("job_failed", "the picture could not be stored: No space left on device")
    assert put
    assert house.artifacts.keys(job.id) == []


def test_while_redis_is_away_a_job_is_left_to_its_lease(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise RedisConnectionError

    with house.running() as worker:
        monkeypatch.setattr(worker._leases, "succeed", away)
        job_id = house.queue.submit(ask(steps=1)).job.id
        assert worker.admit()
        until(lambda: not worker._held)
        assert house.status(job_id) is JobStatus.RUNNING


@pytest.mark.parametrize("error", [MemoryError, RecursionError, KeyError, ValueError])
def test_whatever_goes_wrong_while_a_job_is_started_ends_that_job_alone(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    real = read_inputs

    def read(job_id: str, request: ResolvedRequest, artifacts: ArtifactStore, tenant: str) -> Inputs:
        if request.seed == 13:
            raise error
        return real(job_id, request, artifacts, tenant)

    monkeypatch.setattr("worker.serving.preparing.read_inputs", read)
    with house.running() as worker:
        assert reason(run(house, worker, ask(seed=13))) == ("job_failed", f"internal error: {error.__name__}")
        assert run(house, worker, ask(steps=1)).status is JobStatus.SUCCEEDED
        until(lambda: not worker._held)


def test_who_reads_its_inputs_for_long_holds_up_no_other(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, go_on = read_inputs, threading.Event()

    def read(job_id: str, request: ResolvedRequest, artifacts: ArtifactStore, tenant: str) -> Inputs:
        assert request.seed != 13 or go_on.wait(60)
        return real(job_id, request, artifacts, tenant)

    monkeypatch.setattr("worker.serving.preparing.read_inputs", read)
    with house.running() as worker:
        slow = house.queue.submit(ask(seed=13, steps=1)).job.id
        assert worker.admit()
        assert run(house, worker, ask(steps=1)).status is JobStatus.SUCCEEDED
        assert house.status(slow) is JobStatus.RUNNING
        go_on.set()
        until(lambda: house.status(slow) is JobStatus.SUCCEEDED)


def test_a_worker_whose_loop_is_broken_gives_its_jobs_up(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = house.worker("one")
    worker.start()
    (job_id,) = house.begin(worker, ask(steps=250))

    def break_(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(worker._engine._scheduler, "choose", break_)
        until(lambda: not worker.is_fit())
        worker.close(60)
    assert house.status(job_id) is JobStatus.QUEUED
    assert house.redis.hget(f"{PREFIX}job:{job_id}", "suspect")


def test_a_black_picture_of_an_overflow_is_no_success_chosen_or_not(
    redis: Redis, pocket_catalog: Catalog, ask: Ask, tmp_path: Path
) -> None:
    models = ModelRegistry(pocket_catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))
    with torch.no_grad():
        pocket_of(models)._vae.decoder.conv_out.bias.fill_(float("nan"))
    house = House(redis, models, tmp_path)
    with house.running() as worker:
        for fields in ({}, {"select": CHOOSING}, {"preview_every_steps": 1}, {"guidance": {"cutouts": 2}}):
            job = run(house, worker, ask(steps=2, **fields))
            kind, said = reason(job)
            assert (kind, job.attempts, "not finite after decoding" in said) == ("job_failed", 1, True), said


def pictures(house: House, worker: Executions, ask: Ask) -> tuple[str, ...]:
    drawn = run(house, worker, ask(steps=1, num_images=2))
    return tuple(image.key for image in house.queue.images(drawn.id))


def test_of_two_makers_of_one_embedding_the_second_fails_and_the_first_stays(house: House, ask: Ask) -> None:
    library = EmbeddingLibrary(house.artifacts)
    with house.running() as worker:
        first, second = pictures(house, worker, ask)
        assert run(house, worker, EmbeddingTask(clip="pocket-s", name="warm", pictures=(first,))).result
        kept = library.file("warm")
        job = run(house, worker, EmbeddingTask(clip="pocket-s", name="warm", pictures=(second,)))
        again = run(house, worker, EmbeddingTask(clip="pocket-s", name="warm", pictures=(first,)))
    assert reason(job)[0] == reason(again)[0] == "name_taken"
    assert library.file("warm") == kept


def test_an_embedding_whose_job_is_canceled_or_lost_at_the_last_moment_is_not_kept(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = EmbeddingLibrary(house.artifacts)
    with house.running() as worker:
        keys = pictures(house, worker, ask)
        real = worker._leases.answer
        for end in (house.queue.cancel, house.queue.delete):

            def answer(lease: object, result: object, end: Callable[[str], object] = end) -> object:
                assert [info.name for info in library.list()] == ["warm"]
                end(lease.job_id)  # type: ignore[attr-defined]
                return real(lease, result)  # type: ignore[arg-type]

            monkeypatch.setattr(worker._leases, "answer", answer)
            house.queue.submit(EmbeddingTask(clip="pocket-s", name="warm", pictures=keys))
            assert worker.admit()
            until(lambda: not worker._held)
            assert library.list() == ()


def test_an_execution_takes_the_place_of_a_lost_one_of_its_job(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise RedisConnectionError

    with house.running() as worker:
        keys = pictures(house, worker, ask)
        with monkeypatch.context() as patch:
            patch.setattr(worker._leases, "answer", away)
            job_id = house.queue.submit(EmbeddingTask(clip="pocket-s", name="warm", pictures=keys)).job.id
            assert worker.admit()
            until(lambda: not worker._held)
        house.redis.zadd(PREFIX + "leases", {job_id: 0})
        house.recover(job_id)
        assert worker.admit()
        until(lambda: house.status(job_id) is JobStatus.SUCCEEDED)
    assert house.queue.get(job_id).result == EmbeddingLibrary(house.artifacts).get("warm")


def test_candidates_wait_for_a_slow_store_in_bounded_number_and_are_made_all_the_same(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, real, made = threading.Event(), house.artifacts.put, list[str]()
    real_add = storing.Storing.add

    def put(key: str, data: bytes) -> None:
        assert go_on.wait(60)
        real(key, data)

    def add(self: storing.Storing, lease: Lease, picture: Picture) -> None:
        made.append(lease.job_id)
        real_add(self, lease, picture)

    monkeypatch.setattr(house.artifacts, "put", put)
    monkeypatch.setattr(storing.Storing, "add", add)
    with house.running() as worker:
        best_of_n = house.queue.submit(ask(steps=1, select={"candidates": 60})).job.id
        assert worker.admit()
        until(lambda: len(made) >= storing.WAITING)
        long = house.queue.submit(ask(steps=40)).job.id
        assert worker.admit()
        until(lambda: house.queue.get(long).progress.step > 20)
        assert len(made) <= storing.WAITING + 16  # those that were under way
        go_on.set()
        until(lambda: house.status(best_of_n) is JobStatus.SUCCEEDED)
    assert made.count(best_of_n) == 60
