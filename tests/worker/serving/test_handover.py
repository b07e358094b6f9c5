"""Jobs that a worker which is told to end leaves to the next one, with their states in the artifact store."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch
from redis import Redis
from safetensors.torch import load, save
from structlog.testing import capture_logs

from jobs.db.scripts import PREFIX
from jobs.events.events import LogEvent, ProgressEvent, read_event
from jobs.queue.retention import Retention
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import ScoreTask
from jobs.status.job import JobStatus
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import JobFiles
from tests.waiting import until
from tests.worker.serving.test_executions import House
from worker.models.registry import ModelRegistry
from worker.serving.handover import giving
from worker.states.files import dump, file_name, read
from worker.states.fit import fit_of

Ask = Callable[..., ResolvedRequest]
FRESH = "a job starts afresh: its state is of no use"


@pytest.fixture
def house(redis: Redis, models: ModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Its batches hold one call, since a kernel may round otherwise for another batch size."""
    monkeypatch.setattr(models.device, "max_batch", 1)
    return House(redis, models, tmp_path)


def drawn(house: House, request: ResolvedRequest) -> list[bytes]:
    """The files of a job that is left alone."""
    with house.running("alone") as worker:
        return finished(house, house.begin(worker, request)[0])


def finished(house: House, job_id: str) -> list[bytes]:
    """The files of a job, once it has succeeded."""
    until(lambda: house.status(job_id) is JobStatus.SUCCEEDED)
    return [house.artifacts.get(image.key) for image in house.queue.images(job_id)]


def interrupted(house: House, request: ResolvedRequest, ready: Callable[[str], bool] = lambda _: True) -> str:
    """A job that a worker has begun and handed over."""
    worker = house.worker("one")
    worker.start()
    (job_id,) = house.begin(worker, request)
    until(lambda: ready(job_id))
    worker.close(0)
    assert house.status(job_id) is JobStatus.QUEUED
    return job_id


def hurry_through(house: House) -> None:
    """Let a worker claim a job that does no more steps."""
    worker = house.worker("in a hurry")
    worker.start()
    worker._engine.hand_over()
    assert worker.admit()
    worker.close(0)


def state_of(house: House, job_id: str) -> str:
    """The key of the state that is left of a job."""
    left = cast("str | None", house.redis.hget(f"{PREFIX}job:{job_id}", "state"))
    return f"{job_id}/{left}" if left else ""


def taken_up(house: House, job_id: str) -> list[bytes]:
    """The files of a job that the next worker has finished."""
    with house.running("two") as worker:
        assert worker.admit()
        return finished(house, job_id)


def left_in(house: House, job_id: str) -> list[str]:
    """The files of a job once all that nobody needs is swept."""
    Retention(house.redis, JobFiles(house.artifacts), keep_s=0).sweep()
    return house.artifacts.keys(job_id)


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 40, "sampler": "dpmpp_3m_sde", "preview_every_steps": 10},
        {"steps": 20, "guidance": {"cutouts": 2, "trace": True}},
        {"steps": 20, "num_images": 3},
    ],
    ids=["plain", "guided", "several"],
)
def test_a_job_goes_on_elsewhere_to_the_same_files_and_no_step_is_done_twice(
    house: House, ask: Ask, fields: dict[str, object]
) -> None:
    whole = drawn(house, ask(**fields))
    job_id = interrupted(house, ask(**fields))
    waiting = house.queue.get(job_id)
    assert (waiting.attempts, waiting.starts, waiting.queue_position) == (0, 1, 0)
    assert 0 < waiting.progress.step < waiting.progress.steps
    assert house.artifacts.keys(job_id).count(state_of(house, job_id)) == 1
    with capture_logs() as said:
        assert taken_up(house, job_id) == whole
    (goes_on,) = [line for line in said if line["event"] == "job goes on"]
    assert (goes_on["step"], goes_on["steps"]) == (waiting.progress.step, waiting.progress.steps)
    assert left_in(house, job_id) == sorted(image.key for image in house.queue.images(job_id))


def test_its_events_go_on_from_the_step_that_was_reached(house: House, ask: Ask) -> None:
    job_id = interrupted(house, ask(steps=40))
    reached = house.queue.get(job_id).progress.step
    taken_up(house, job_id)
    entries = cast("list[tuple[str, dict[str, str]]]", house.redis.xrange(f"{PREFIX}events:{job_id}"))
    events = [read_event(at, fields, job_id) for at, fields in entries]
    (note,) = [number for number, event in enumerate(events) if isinstance(event, LogEvent)]
    assert events[note].message == f"handed over after {reached} of 40 steps"  # type: ignore[union-attr]
    assert [event.type for event in events[note + 1 : note + 3]] == ["queued", "started"]
    steps = [event.step for event in events if isinstance(event, ProgressEvent)]
    assert steps == sorted(steps)
    assert all(event.step >= reached for event in events[note:] if isinstance(event, ProgressEvent))


def test_candidates_that_are_made_are_not_drawn_again(house: House, ask: Ask) -> None:
    request = ask(steps=6, select={"candidates": 24, "keep": 24})
    whole = drawn(house, request)
    job_id = interrupted(house, request, lambda job_id: len(house.queue.get(job_id).candidates) > 2)
    made = sum(key.endswith(".png") for key in house.artifacts.keys(job_id))
    assert made > 2
    assert house.queue.get(job_id).progress.step >= 6 * made
    with house.running("two") as worker:
        assert worker.admit()
        until(lambda: len(house.queue.get(job_id).candidates) >= made)
        assert finished(house, job_id) == whole
    assert len(left_in(house, job_id)) == 24


def test_a_job_may_be_handed_over_more_often_than_it_may_be_started(house: House, ask: Ask) -> None:
    job_id = house.queue.submit(ask(steps=250, num_images=8)).job.id
    for number in range(12):
        worker = house.worker(f"worker {number}")
        worker.start()
        assert worker.admit()
        before = house.queue.get(job_id).progress.step
        until(lambda before=before: house.queue.get(job_id).progress.step > before)  # type: ignore[misc]
        worker.close(0)
    job = house.queue.get(job_id)
    assert (job.status, job.attempts, job.starts) == (JobStatus.QUEUED, 0, 12)
    left = left_in(house, job_id)
    assert left == [state_of(house, job_id)]


def test_a_worker_that_does_no_step_leaves_the_state_as_it_was(house: House, ask: Ask) -> None:
    job_id = interrupted(house, ask(steps=40))
    state, reached = state_of(house, job_id), house.queue.get(job_id).progress.step
    hurry_through(house)
    assert state_of(house, job_id) == state
    assert house.status(job_id) is JobStatus.QUEUED
    with capture_logs() as said:
        taken_up(house, job_id)
    assert [line["step"] for line in said if line["event"] == "job goes on"] == [reached]


def test_a_worker_that_dies_after_it_took_over_leaves_the_state_too(house: House, ask: Ask) -> None:
    job_id = interrupted(house, ask(steps=40))
    state = state_of(house, job_id)
    dead = house.worker("dies", lease_s=0.2)
    dead._heartbeat.close()
    assert dead.admit()
    house.recover(job_id)
    assert state_of(house, job_id) == state
    with capture_logs() as said:
        taken_up(house, job_id)
    assert [line for line in said if line["event"] == "job goes on"]


@pytest.mark.parametrize("how", ["cancel", "delete"])
def test_the_state_goes_with_a_job_that_is_canceled_or_deleted(house: House, ask: Ask, how: str) -> None:
    job_id = interrupted(house, ask(steps=40))
    assert state_of(house, job_id)
    if how == "cancel":
        house.queue.cancel(job_id)
    else:
        JobFiles(house.artifacts).delete_before(job_id, house.queue.delete)
    assert left_in(house, job_id) == []


def test_a_state_whose_job_was_not_released_is_collected(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = house.worker("one", lease_s=2)
    worker.start()
    (job_id,) = house.begin(worker, ask(steps=250))
    monkeypatch.setattr(worker._leases, "release", lambda *_: None)
    worker.close(0)
    assert house.artifacts.keys(job_id)
    house.recover(job_id)
    assert state_of(house, job_id) == ""
    for place in house.redis.zrange(PREFIX + "orphans", 0, -1):
        house.redis.zadd(PREFIX + "orphans", {str(place): 1})
    assert left_in(house, job_id) == []


def damaged(house: House, job_id: str) -> None:
    key = state_of(house, job_id)
    data = bytearray(house.artifacts.get(key))
    data[-1] ^= 1
    house.artifacts.put(key, bytes(data))


def gone(house: House, job_id: str) -> None:
    house.artifacts.delete(state_of(house, job_id))


def of_another_job(house: House, job_id: str) -> None:
    key = state_of(house, job_id)
    state = read(house.artifacts.get(key), key.rpartition("/")[2])
    other = fit_of(
        house.queue.get(job_id).generation.model_copy(update={"seed": 8}), house.models.device.kind
    )
    replace_state(house, job_id, dump(state.model_copy(update={"fit": other})))


def of_an_old_version(house: House, job_id: str) -> None:
    tensors = load(house.artifacts.get(state_of(house, job_id)))
    state = json.loads(tensors["state"].numpy().tobytes()) | {"version": 0}
    tensors["state"] = torch.frombuffer(bytearray(json.dumps(state).encode()), dtype=torch.uint8)
    replace_state(house, job_id, save(tensors))


def replace_state(house: House, job_id: str, data: bytes) -> None:
    folder = state_of(house, job_id).split("/")[1]
    house.artifacts.put(f"{job_id}/{folder}/{file_name(data)}", data)
    house.redis.hset(f"{PREFIX}job:{job_id}", "state", f"{folder}/{file_name(data)}")


@pytest.mark.parametrize("spoil", [damaged, gone, of_another_job, of_an_old_version])
def test_a_state_that_does_not_fit_is_ignored_and_the_job_starts_afresh(
    house: House, ask: Ask, spoil: Callable[[House, str], None]
) -> None:
    whole = drawn(house, ask(steps=40))
    job_id = interrupted(house, ask(steps=40))
    spoil(house, job_id)
    with capture_logs() as said:
        assert taken_up(house, job_id) == whole
    assert [line["job"] for line in said if line["event"] == FRESH] == [job_id]


def test_so_is_one_of_other_code(house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(giving, "fit_of", lambda *_: "of the day before")
        job_id = interrupted(house, ask(steps=40))
    with capture_logs() as said:
        taken_up(house, job_id)
    assert [line["job"] for line in said if line["event"] == FRESH] == [job_id]


def test_a_job_whose_state_cannot_be_stored_waits_again_without_one(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ArtifactStore, "put", full)
        job_id = interrupted(house, ask(steps=40))
    assert state_of(house, job_id) == ""
    assert house.queue.get(job_id).progress.steps == 0
    taken_up(house, job_id)


def test_a_task_waits_again_and_starts_afresh(house: House, ask: Ask) -> None:
    with house.running() as worker:
        (drawn,) = house.begin(worker, ask(steps=2))
        finished(house, drawn)
    (image,) = house.queue.images(drawn)
    job_id = house.queue.submit(ScoreTask(clip="pocket-m", pictures=(image.key,) * 8)).job.id
    hurry_through(house)
    assert (house.status(job_id), state_of(house, job_id)) == (JobStatus.QUEUED, "")
    with house.running("two") as successor:
        assert successor.admit()
        until(lambda: house.status(job_id) is JobStatus.SUCCEEDED)
