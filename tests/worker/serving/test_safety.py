"""Pictures that are not safe for work: told, blurred, or never stored, by the real classifier."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageFilter
from redis import Redis

from jobs.errors import ConfigurationError
from jobs.status.job import Job, JobStatus
from tests.waiting import until
from tests.worker.serving.test_best_of_n import run
from tests.worker.serving.test_executions import Ask, House
from worker.models.registry import ModelRegistry
from worker.pictures import safety
from worker.pictures.picture import Picture
from worker.pictures.safety import Policy, SafetyChecker
from worker.pictures.writer import PictureWriter
from worker.raster import Raster

NEVER, ALWAYS = 1.0, 1e-9
THREE = {"steps": 2, "num_images": 3, "seed": 1}


@pytest.fixture
def house(redis: Redis, models: ModelRegistry, tmp_path: Path) -> House:
    return House(redis, models, tmp_path)


def drawn(house: House, ask: Ask, policy: Policy, threshold: float, **fields: object) -> Job:
    """A job's end, with such a policy."""
    house.writer = PictureWriter(safety=SafetyChecker(policy, threshold))
    with house.running() as worker:
        return run(house, worker, ask(**{**THREE, **fields}))


def detail(png: bytes) -> float:
    """How much of a picture is finer than a few pixels."""
    with Image.open(io.BytesIO(png)) as image:
        edges = image.convert("L").filter(ImageFilter.FIND_EDGES)
        return sum(edges.crop((2, 2, image.width - 2, image.height - 2)).tobytes())  # the rim is not filtered


def middle(job: Job) -> float:
    """A threshold that one of a job's three pictures reaches."""
    *_, second, first = sorted(image.safety.score for image in job.images if image.safety)
    return (second + first) / 2


def test_a_finding_is_told_and_only_what_is_not_safe_is_withheld(house: House, ask: Ask) -> None:
    told = drawn(house, ask, "flag", NEVER)
    assert [image.safety.flagged for image in told.images if image.safety] == [False] * 3
    threshold = middle(told)
    flagged = drawn(house, ask, "flag", threshold)
    found = [image.safety for image in flagged.images if image.safety]
    assert sorted(each.flagged for each in found) == [False, False, True]
    assert {each.action for each in found} == {"none"}
    blocked = drawn(house, ask, "block", threshold)
    assert blocked.status is JobStatus.SUCCEEDED
    kept = {image.index for image in blocked.images}
    assert kept == {image.index for image in flagged.images if image.safety and not image.safety.flagged}
    assert len(house.artifacts.keys(blocked.id)) == 2
    (note,) = blocked.notes
    assert note == "1 of the pictures did not pass the operator's safety check, and are not kept."


def test_a_picture_that_is_not_safe_is_blurred(house: House, ask: Ask) -> None:
    sharp = drawn(house, ask, "flag", ALWAYS, num_images=1)
    blurred = drawn(house, ask, "blur", ALWAYS, num_images=1)
    (image,) = blurred.images
    assert image.safety is not None
    assert (image.safety.flagged, image.safety.action) == (True, "blurred")
    before, after = (
        detail(house.artifacts.get(stored.key))
        for job in (sharp, blurred)
        for stored in house.queue.images(job.id)
    )
    assert after < before / 3


def test_a_job_of_which_nothing_may_be_kept_fails_and_leaves_nothing(house: House, ask: Ask) -> None:
    for fields in ({}, {"select": {"candidates": 2, "keep": 1}, "num_images": 1}):
        job = drawn(house, ask, "block", ALWAYS, preview_every_steps=1, **fields)
        assert job.status is JobStatus.FAILED
        assert job.error is not None
        assert job.error.type == "content_blocked"
        until(lambda: house.artifacts.keys(job.id) == [])  # noqa: B023 -- it waits within the loop
        assert job.candidates == ()


def test_a_candidate_that_is_not_safe_is_not_chosen(house: House, ask: Ask) -> None:
    threshold = middle(drawn(house, ask, "flag", NEVER))
    job = drawn(house, ask, "block", threshold, num_images=1, select={"candidates": 3, "keep": 3})
    assert len(job.images) == len(job.candidates) == 2


def test_what_is_enlarged_is_screened_too(house: House, ask: Ask) -> None:
    pytest.importorskip("ncnn")
    job = drawn(house, ask, "block", ALWAYS, num_images=1, upscale={"factor": 2})
    assert job.error is not None
    assert job.error.type == "content_blocked"
    assert house.artifacts.keys(job.id) == []


def test_no_preview_is_shown_of_what_may_be_withheld() -> None:
    raster = Raster(torch.full((3, 64, 64), 0.5))
    assert PictureWriter(safety=SafetyChecker("flag", NEVER)).preview(raster) is not None
    for policy in ("blur", "block"):
        assert PictureWriter(safety=SafetyChecker(policy, NEVER)).preview(raster) is None


def test_without_the_extra_a_worker_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="'safety'"):
        SafetyChecker("block", 0.8)


def test_any_size_is_screened() -> None:
    checker = SafetyChecker("flag", 0.8)
    for size in ((8, 8), (1024, 8)):
        pixels = torch.zeros(3, *size)
        screened = checker.screen(Picture(0, 0, pixels, Raster(pixels), 0.0))
        assert screened is not None
        assert 0 <= screened.safety.score < 0.5
