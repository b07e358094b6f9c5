from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from jobs.status.job import Image, Job, JobStatus, Progress
from jobs.status.lists import JobPage
from tests.jobs.samples import RESOLVED


def test_the_statuses_are_those_of_the_api() -> None:
    assert list(JobStatus) == ["queued", "running", "succeeded", "failed", "canceled"]


def test_the_last_three_are_terminal() -> None:
    assert [status.is_terminal for status in JobStatus] == [False, False, True, True, True]


@pytest.mark.parametrize(("step", "steps", "fraction"), [(0, 0, 0), (0, 25, 0), (5, 20, 0.25), (25, 25, 1)])
def test_a_fraction_of_the_steps_is_done(step: int, steps: int, fraction: float) -> None:
    assert Progress(step=step, steps=steps).fraction == fraction


@pytest.mark.parametrize("wrong", [{"step": -1}, {"steps": -1}, {"eta_s": -0.1}, {"percent": 3}])
def test_impossible_progress_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Progress.model_validate(wrong)


def test_a_score_is_a_cosine() -> None:
    image = {"index": 0, "url": "/x", "seed": 0, "width": 64, "height": 64}
    for score in (-1, 1, None):
        assert Image.model_validate({**image, "clip_score": score}).clip_score == score
    with pytest.raises(ValidationError, match="clip_score"):
        Image.model_validate({**image, "clip_score": 1.01})


def test_a_new_job_says_what_is_known_and_null_for_the_rest() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    job = Job(id="abc", status=JobStatus.QUEUED, created_at=at, request=RESOLVED)
    assert job.model_dump(mode="json", exclude={"request"}) == {
        "id": "abc",
        "status": "queued",
        "created_at": "2026-01-02T03:04:05Z",
        "started_at": None,
        "finished_at": None,
        "queue_position": None,
        "cancel_requested": False,
        "attempts": 0,
        "starts": 0,
        "worker": None,
        "caller": None,
        "progress": {"step": 0, "steps": 0, "eta_s": None, "fraction": 0.0},
        "images": [],
        "candidates": [],
        "notes": [],
        "result": None,
        "error": None,
        "metrics": {"queue_s": None, "execution_s": None},
        "webhook": None,
        "maps": [],
        "urls": {
            "self": "/v1/jobs/abc",
            "cancel": "/v1/jobs/abc/cancel",
            "events": "/v1/jobs/abc/events",
        },
    }


def test_every_field_of_an_answer_is_documented() -> None:
    schema = JobPage.model_json_schema(mode="serialization")
    for model in (schema, *schema["$defs"].values()):
        for name, field in model.get("properties", {}).items():
            assert field.get("description") or "$ref" in field, (model["title"], name)
