from datetime import UTC, datetime

import pytest

from jobs.status.job import GuidedStep, JobError, JobStatus, Metrics, Progress, StoredImage
from jobs.status.records import dump_images, load_images, to_job
from tests.jobs.samples import RESOLVED

CREATED_US = 1_767_323_045_123_457
QUEUED = {
    "status": "queued",
    "request": RESOLVED.model_dump_json(),
    "created_us": str(CREATED_US),
    "attempts": "0",
    "claims": "0",
}
RUNNING = {
    **QUEUED,
    "status": "running",
    "attempts": "1",
    "claims": "1",
    "fence": "1-0123abcd",
    "worker": "gpu-1",
    "started_us": str(CREATED_US + 500_000),
}
PICTURES = (
    StoredImage(index=0, seed=7, width=64, height=48, key="abc/1-0123abcd/0.png", clip_score=0.31),
    StoredImage(index=1, seed=8, width=64, height=48, key="abc/1-0123abcd/1.png"),
)


def test_times_keep_their_microseconds() -> None:
    assert to_job("abc", QUEUED, 3).created_at == datetime(2026, 1, 2, 3, 4, 5, 123457, tzinfo=UTC)


def test_a_waiting_job_has_a_place_and_a_running_one_has_not() -> None:
    assert to_job("abc", QUEUED, 3).queue_position == 3
    assert to_job("abc", RUNNING, 3).queue_position is None


def test_a_running_job_shows_its_worker_and_progress() -> None:
    job = to_job("abc", {**RUNNING, "step": "5", "steps": "20", "eta_s": "1.5"}, None)
    assert (job.worker, job.attempts) == ("gpu-1", 1)
    assert job.progress == Progress(step=5, steps=20, eta_s=1.5)
    assert job.metrics == Metrics(queue_s=0.5)


def test_a_finished_job_has_no_time_left() -> None:
    finished = {"status": "succeeded", "finished_us": str(CREATED_US + 2_000_000), "eta_s": "1.5"}
    job = to_job("abc", {**RUNNING, **finished, "images": dump_images(PICTURES)}, None)
    assert job.progress.eta_s is None
    assert job.metrics == Metrics(queue_s=0.5, execution_s=1.5)


def test_pictures_come_back_as_they_were_stored() -> None:
    assert load_images({**RUNNING, "images": dump_images(PICTURES)}) == PICTURES
    assert load_images(RUNNING) == ()


def test_the_key_in_the_store_is_nobody_else_s_business() -> None:
    job = to_job("abc", {**RUNNING, "status": "succeeded", "images": dump_images(PICTURES)}, None)
    assert [image.url for image in job.images] == ["/v1/jobs/abc/images/0", "/v1/jobs/abc/images/1"]
    assert "0123abcd" not in job.model_dump_json()


def test_a_failure_tells_its_reason() -> None:
    error = JobError(type="out_of_memory", message="too big")
    job = to_job("abc", {**RUNNING, "status": "failed", "error": error.model_dump_json()}, None)
    assert job.error == error


@pytest.mark.parametrize(("status", "shown"), [("running", True), ("queued", True), ("canceled", False)])
def test_a_cancel_is_pending_until_the_job_has_ended(status: str, shown: bool) -> None:
    assert (
        to_job("abc", {**RUNNING, "status": status, "cancel_requested": "1"}, None).cancel_requested is shown
    )


def test_a_clock_that_was_set_back_makes_no_negative_durations() -> None:
    back = {"started_us": str(CREATED_US - 9), "finished_us": str(CREATED_US - 10), "status": "failed"}
    assert to_job("abc", {**RUNNING, **back}, None).metrics == Metrics(queue_s=0, execution_s=0)


@pytest.mark.parametrize("status", list(JobStatus))
def test_every_status_can_be_told(status: JobStatus) -> None:
    assert to_job("abc", {**RUNNING, "status": status.value}, None).status is status


def test_older_versions_read_what_this_one_writes_and_it_reads_what_newer_ones_do() -> None:
    assert "safety" not in dump_images(PICTURES)
    skipped = GuidedStep(step=2, loss=None, losses=(None,), gradient_rms=None, skipped=True)
    traced = tuple(picture.model_copy(update={"trace": (skipped,)}) for picture in PICTURES)
    assert load_images({**RUNNING, "images": dump_images(traced)}) == traced
    newer = dump_images(PICTURES).replace('"index"', '"newer": 1, "index"')
    assert load_images({**RUNNING, "images": newer}) == PICTURES
