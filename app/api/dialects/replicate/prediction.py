"""A job in Replicate's form: a prediction."""

from datetime import datetime
from typing import Any

from app.api.dialects.customary import CUSTOMARY
from app.api.dialects.replicate.models import reference_to
from app.api.pictures.formats import Format, address_end
from jobs.status import links
from jobs.status.job import Job, JobStatus
from jobs.status.lists import JobPage

_STATUSES = {
    JobStatus.QUEUED: "starting",
    JobStatus.RUNNING: "processing",
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELED: "canceled",
}
_BAR_WIDTH = 20
# What no input takes: the model is in the path, and the plan of steps follows from the others.
_NOT_INPUT: dict[str, bool | set[str]] = {"model": True, "init": {"steps_planned", "steps_run"}}
# The names that a prediction's input has for native fields.
_NAMES = {name: customary[-1] for name, customary in CUSTOMARY.items()}


def prediction(base_url: str, job: Job, output: list[str] | None = None) -> dict[str, Any]:
    """The prediction of a job.

    Args:
        base_url: this server's address for the client, with the prefix if any.
        job: to show.
        output: its pictures; by default their addresses.
    """
    address = f"{base_url}/v1/predictions/{job.id}"
    return {
        "id": job.id,
        "model": reference_to(job.generation.model),
        "version": job.generation.model,
        "status": _STATUSES[job.status],
        "input": _input(job),
        "output": output or addresses(base_url, job) or None,
        "error": None if job.error is None else f"{job.error.type}: {job.error.message}",
        "logs": logs(job),
        "metrics": _metrics(job),
        "created_at": _iso(job.created_at),
        "started_at": _iso(job.started_at),
        "completed_at": _iso(job.finished_at),
        "data_removed": False,
        "source": "api",
        "urls": {"get": address, "cancel": f"{address}/cancel", "stream": f"{address}/stream"},
    }


def addresses(base_url: str, job: Job) -> list[str]:
    """The addresses of a job's pictures, which name the requested format."""
    suffix = job.picture_suffix or address_end(Format.PNG)
    return [f"{base_url}{links.image(job.id, image.index)}{suffix}" for image in job.images]


def awaited(base_url: str, job: Job) -> dict[str, Any]:
    """The prediction after a wait that ran out: Replicate then reports ``starting``, whatever the job's status.

    ``client.run`` takes every other status for the end of the prediction, and returns the output.
    """
    return prediction(base_url, job) | {"status": "starting"}


def prediction_page(base_url: str, page: JobPage) -> dict[str, Any]:
    """One page of predictions, newest first. Pages only lead forward."""
    following = None if page.next_cursor is None else f"{base_url}/v1/predictions?cursor={page.next_cursor}"
    results = [prediction(base_url, job) for job in page.data if job.generates]
    return {"previous": None, "next": following, "results": results}


def logs(job: Job) -> str:
    """The seed, the job's notes, and the progress as the line that tqdm would print, which the clients parse."""
    lines = [f"Using seed: {job.generation.seed}", *job.notes]
    if job.progress.steps:
        lines.append(_tqdm_line(job))
    return "\n".join(lines) + "\n"


def _tqdm_line(job: Job) -> str:
    progress = job.progress
    bar = ("█" * round(progress.fraction * _BAR_WIDTH)).ljust(_BAR_WIDTH)
    eta = "?" if progress.eta_s is None else f"{progress.eta_s // 60:02.0f}:{progress.eta_s % 60:02.0f}"
    return f"{progress.fraction:4.0%}|{bar}| {progress.step}/{progress.steps} [{eta} left]"


def _input(job: Job) -> dict[str, Any]:
    fields = job.generation.model_dump(mode="json", exclude=_NOT_INPUT, exclude_none=True)
    return {_NAMES.get(name, name): value for name, value in fields.items()}


def _metrics(job: Job) -> dict[str, float]:
    if job.metrics.execution_s is None:
        return {}
    return {
        "predict_time": job.metrics.execution_s,
        "total_time": (job.metrics.queue_s or 0) + job.metrics.execution_s,
        "image_count": len(job.images),
    }


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")
