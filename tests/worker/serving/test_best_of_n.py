"""Jobs that choose, upscale, score and search, from the queue to the artifact store."""

import io
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from redis import Redis

from jobs.catalog.words import words_for
from jobs.db import keys
from jobs.queue.retention import Retention
from jobs.queue.submission import new_job_id
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import (
    DescribeTask,
    Description,
    EmbeddingTask,
    Place,
    QueryTask,
    Scores,
    ScoreTask,
    Task,
)
from jobs.status.job import Job, JobStatus
from jobs.status.rescue import Rescue
from jobs.storage.embeddings import EmbeddingLibrary
from jobs.storage.job_files import JobFiles, input_key
from jobs.storage.segments import Segments
from tests.brought_pictures import encoded, scene
from tests.waiting import until
from tests.worker.sampling.starting import from_picture
from tests.worker.serving.test_executions import Ask, House
from worker.models.registry import ModelRegistry
from worker.pictures import upscaling
from worker.serving.executions import Executions


@pytest.fixture
def house(redis: Redis, models: ModelRegistry, tmp_path: Path) -> House:
    return House(redis, models, tmp_path)


def run(house: House, worker: Executions, request: ResolvedRequest | Task) -> Job:
    """A job after its end."""
    job_id = house.queue.submit(request).job.id
    assert worker.admit()
    until(lambda: house.status(job_id).is_terminal)
    return house.queue.get(job_id)


def size_of(house: House, key: str) -> tuple[int, int]:
    with Image.open(io.BytesIO(house.artifacts.get(key))) as picture:
        picture.load()
        return picture.size


def test_the_best_are_kept_and_found_and_the_rest_is_deleted_a_while_later(house: House, ask: Ask) -> None:
    with house.running() as worker:
        job = run(house, worker, ask(steps=2, select={"candidates": 5, "keep": 2}))
        until(lambda: house.redis.zcard(keys.ORPHANS) == 3)
    assert len(house.artifacts.keys(job.id)) == 5
    (spared,) = [one.index for one in house.queue.get(job.id).candidates if not one.kept][:1]
    Rescue(house.redis).keep(job.id, spared)
    retention = Retention(house.redis, JobFiles(house.artifacts), keep_s=0)
    assert retention.sweep() == 0
    for place, _ in house.redis.zscan_iter(keys.ORPHANS):
        house.redis.zadd(keys.ORPHANS, {place: 1})
    assert retention.sweep() == 2
    (*_, rescued) = house.queue.images(job.id)
    assert rescued.index == spared
    assert [candidate.index for candidate in job.candidates] == [0, 1, 2, 3, 4]
    scores = {candidate.index: candidate.clip_score or 0.0 for candidate in job.candidates}
    best = sorted(scores, key=lambda index: -scores[index])[:2]
    assert [image.index for image in job.images] == best
    stored = house.queue.images(job.id)
    assert [image.index for image in stored] == [*best, spared]
    assert house.artifacts.keys(job.id) == sorted(image.key for image in stored)
    assert {size_of(house, image.key) for image in stored} == {(64, 64)}
    segments = Segments(house.artifacts, "pocket-s")
    (key,) = list(segments.keys())
    segment = segments.get(key)
    assert (segment.job_id, sorted(segment.indexes)) == (job.id, sorted(best))


def test_the_best_of_several_edits_is_kept_and_keeps_what_the_mask_keeps(
    house: House, models: ModelRegistry
) -> None:
    picture, mask, job_id = encoded(scene(64, 64)), encoded(hole()), new_job_id()
    names = []
    for png in (picture, mask):
        digest = sha256(png).hexdigest()
        house.artifacts.put(input_key(job_id, digest), png)
        names.append(f"sha256:{digest}")
    request = from_picture(
        models.catalog,
        0.8,
        init={"image": names[0]},
        mask={"image": names[1]},
        steps=3,
        select={"candidates": 4, "scorer": "pocket-eval"},
        guidance={"cutouts": 2},
    )
    house.queue.submit(request, job_id=job_id)
    with house.running() as worker:
        assert worker.admit()
        until(lambda: house.status(job_id).is_terminal)
    job = house.queue.get(job_id)
    scores = [candidate.clip_score or 0.0 for candidate in job.candidates]
    assert [image.index for image in job.images] == [scores.index(max(scores))]
    (kept,) = house.queue.images(job_id)
    with Image.open(io.BytesIO(house.artifacts.get(kept.key))) as made:
        outside, own = np.array(made), np.array(scene(64, 64))
    painted = np.array(hole())[..., 0] > 0
    assert (outside[~painted] == own[~painted]).all()
    assert (outside[painted] != own[painted]).any()


def hole() -> Image.Image:
    """A mask with a white square."""
    mask = Image.new("RGB", (64, 64))
    mask.paste((255, 255, 255), (16, 16, 48, 48))
    return mask


def test_a_best_of_n_job_that_is_canceled_leaves_nothing(house: House, ask: Ask) -> None:
    with house.running() as worker:
        job_id = house.queue.submit(ask(steps=6, select={"candidates": 250})).job.id
        assert worker.admit()
        until(lambda: bool(house.queue.get(job_id).candidates))
        assert house.artifacts.keys(job_id)
        house.queue.cancel(job_id)
        until(lambda: house.status(job_id) is JobStatus.CANCELED)
        until(lambda: not worker._held)
        assert house.artifacts.keys(job_id) == []


def test_a_best_of_n_job_that_is_handed_over_leaves_its_pictures_and_its_state(
    house: House, ask: Ask
) -> None:
    worker = house.worker("one")
    worker.start()
    job_id = house.queue.submit(ask(steps=6, select={"candidates": 250})).job.id
    assert worker.admit()
    until(lambda: bool(house.queue.get(job_id).candidates))
    worker.close(0)
    job = house.queue.get(job_id)
    assert (job.status, job.attempts) == (JobStatus.QUEUED, 0)
    assert {key.rpartition(".")[2] for key in house.artifacts.keys(job_id)} == {"png", "safetensors"}


def test_what_is_kept_is_upscaled(house: House, ask: Ask) -> None:
    pytest.importorskip("ncnn")
    with house.running() as worker:
        request = ask(steps=2, select={"candidates": 3}, upscale={"factor": 2})
        job = run(house, worker, request)
    (image,) = job.images
    (stored,) = house.queue.images(job.id)
    assert (image.width, image.height) == size_of(house, stored.key) == (128, 128)


def test_candidates_are_drawn_at_the_size_of_their_second_pass(house: House, ask: Ask) -> None:
    with house.running() as worker:
        job = run(house, worker, ask(steps=2, select={"candidates": 2}, hires={"steps": 1}))
    assert (job.progress.step, job.progress.steps) == (6, 6)
    (image,) = job.images
    (stored,) = house.queue.images(job.id)
    assert (image.width, image.height) == size_of(house, stored.key) == (128, 128)


@pytest.mark.parametrize("fields", [{"upscale": {"factor": 4}}, {"hires": {"upscaler": "x4plus"}}])
def test_a_job_that_cannot_be_upscaled_fails_before_it_draws(
    fields: dict[str, Any], house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscaling, "find_spec", lambda _: None)
    with house.running() as worker:
        job = run(house, worker, ask(steps=2, **fields))
    assert job.error is not None
    assert (job.error.type, job.progress.steps) == ("missing_extra", 0)
    assert "pip install '.[upscale]'" in job.error.message


def test_tasks_are_done_and_their_results_kept(house: House, ask: Ask) -> None:
    with house.running() as worker:
        drawn = run(house, worker, ask(steps=4, num_images=2))
        keys = tuple(image.key for image in house.queue.images(drawn.id))
        scored = run(house, worker, ScoreTask(clip="pocket-m", prompt=ask().prompt, pictures=keys)).result
        made = run(house, worker, EmbeddingTask(clip="pocket-s", name="warm", pictures=keys))
        place = run(house, worker, QueryTask(clip="pocket-m", picture=keys[0])).result
        asked = DescribeTask(clip="pocket-m", picture=keys[0], words_of="pocket")
        described = run(house, worker, asked).result
    assert isinstance(scored, Scores)
    similarities = [score.clip_score for score in scored.pictures]
    assert similarities == pytest.approx([image.clip_score for image in drawn.images], abs=5e-3)
    assert made.result == EmbeddingLibrary(house.artifacts).get("warm")
    assert isinstance(described, Description)
    words = words_for(house.models.catalog.model("pocket"))
    captions = (words.caption(each) for each in product(*words.groups))
    assert described.caption in captions
    assert -1 <= described.similarity <= 1
    assert isinstance(place, Place)
    assert sum(number**2 for number in place.vector) == pytest.approx(1, abs=1e-3)


def test_a_task_whose_picture_is_gone_fails_and_says_so(house: House) -> None:
    with house.running() as worker:
        job = run(house, worker, ScoreTask(clip="pocket-m", pictures=("gone/0.png",)))
    assert job.error is not None
    assert (job.error.type, "deleted before it was looked at" in job.error.message) == ("job_failed", True)
