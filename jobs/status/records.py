"""Converts the hash that Redis keeps for a job to the job that callers see."""

import json
from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from jobs.db.flows import named_caller
from jobs.db.times import instant
from jobs.requests.tasks import read_request, read_result
from jobs.status import links
from jobs.status.candidates import to_candidates
from jobs.status.job import Image, Job, JobError, JobStatus, Metrics, Progress, StoredImage, WebhookState

# What a wrong value, a missing field and a value of another type are to whoever reads a record.
UNREADABLE = (ValueError, LookupError, TypeError)
_STORED_IMAGES = TypeAdapter(tuple[StoredImage, ...])


def at_fault(error: Exception) -> str:
    """Why a record is unreadable: the fields, without their values, since a log is no place for prompts."""
    if not isinstance(error, ValidationError):
        return type(error).__name__
    return ", ".join(".".join(str(part) for part in each["loc"]) or each["type"] for each in error.errors())


def dump_images(images: tuple[StoredImage, ...]) -> str:
    """The JSON of a job's pictures, as the hash keeps it."""
    # Without what is not there, so that a version which does not know of it reads the rest; a null of a trace is there.
    return _STORED_IMAGES.dump_json(images, exclude_defaults=True).decode()


def load_images(record: Mapping[str, str]) -> tuple[StoredImage, ...]:
    """The pictures that a hash holds; none before the job has succeeded."""
    return _STORED_IMAGES.validate_json(record["images"], extra="ignore") if "images" in record else ()


def to_job(
    job_id: str, record: Mapping[str, str], queue_position: int | None, eta_s: float | None = None
) -> Job:
    """The job that a hash describes.

    Args:
        job_id: of the job.
        record: the hash.
        queue_position: jobs that wait before it, if it waits.
        eta_s: seconds until its end, if it waits and they are known.
    """
    # A field of a newer version is not shown; only a worker has to know all fields.
    status, request = JobStatus(record["status"]), read_request(record["request"], extra="ignore")
    images = load_images(record)
    created, started, finished = (
        _microseconds(record, name) for name in ("created_us", "started_us", "finished_us")
    )
    return Job(
        id=job_id,
        status=status,
        created_at=instant(created or 0),
        started_at=None if started is None else instant(started),
        finished_at=None if finished is None else instant(finished),
        queue_position=queue_position if status is JobStatus.QUEUED else None,
        cancel_requested=not status.is_terminal and "cancel_requested" in record,
        attempts=int(record["attempts"]),
        starts=int(record.get("starts", record["attempts"])),
        worker=record.get("worker"),
        caller=named_caller(record),
        progress=Progress(
            step=int(record.get("step", 0)),
            steps=int(record.get("steps", 0)),
            eta_s=_eta_s(status, record, eta_s),
        ),
        request=request,
        images=tuple(_image(job_id, image) for image in images),
        candidates=to_candidates(job_id, record, request, status, images),
        result=read_result(record["result"]) if "result" in record else None,
        notes=tuple(record["notes"].split("\n")) if "notes" in record else (),
        error=JobError(**json.loads(record["error"])) if "error" in record else None,
        metrics=Metrics(
            queue_s=_seconds(created, started),
            execution_s=_seconds(started, finished),
        ),
        webhook=_webhook(record),
        picture_suffix=record.get("picture_suffix", ""),
    )


def _eta_s(status: JobStatus, record: Mapping[str, str], waiting_s: float | None) -> float | None:
    if status is JobStatus.QUEUED:
        return waiting_s
    return float(record["eta_s"]) if status is JobStatus.RUNNING and "eta_s" in record else None


def _image(job_id: str, image: StoredImage) -> Image:
    fields = image.model_dump(exclude={"key"})
    return Image(url=links.here(links.image(job_id, image.index)), **fields)


def _webhook(record: Mapping[str, str]) -> WebhookState | None:
    if "webhook_url" not in record:
        return None
    fields = {
        "url": record["webhook_url"],
        "events": record["webhook_events"].split(","),
        "status": record.get("webhook_status", "waiting"),
        "attempts": record.get("webhook_attempts", 0),
        "last_error": record.get("webhook_error"),
        "prediction_base": record.get("webhook_base"),
    }
    return WebhookState.model_validate(fields)


def _microseconds(record: Mapping[str, str], name: str) -> int | None:
    return int(record[name]) if name in record else None


def _seconds(start_us: int | None, end_us: int | None) -> float | None:
    # The server's clock may have been set back in between.
    return None if start_us is None or end_us is None else max(0, end_us - start_us) / 1e6
