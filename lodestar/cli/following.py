"""Follow the events of a job."""

import sys
from collections.abc import Iterable

from jobs.status.job import Job, JobStatus, Progress
from lodestar.http.streams import StreamedEvent
from lodestar.progress import shown


def follow(events: Iterable[StreamedEvent], *, quiet: bool = False) -> Job | None:
    """Follow the events of a job to its end and show its progress; the job, or None if it was deleted."""
    job: Job | None = None
    with shown(not quiet) as show:
        for event in events:
            if event.name == "deleted" or (event.name == "done" and event.data["job"] is None):
                return None
            job = _after(job, event)
            if job is not None:
                show(job)
            if event.name == "log" and not quiet:
                print(event.data["message"], file=sys.stderr, flush=True)
    return job


def _after(job: Job | None, event: StreamedEvent) -> Job | None:
    """The job as an event leaves it."""
    if event.name in {"snapshot", "done"}:
        # A newer server may send fields that this version does not know.
        return Job.model_validate(event.data["job"], extra="ignore")
    if job is None:
        return None
    match event.name:
        case "queued":
            return job.model_copy(update={"status": JobStatus.QUEUED})
        case "started":
            return job.model_copy(update={"status": JobStatus.RUNNING, "attempts": event.data["attempt"]})
        case "progress":
            progress = Progress.model_validate(event.data, extra="ignore")
            return job.model_copy(update={"status": JobStatus.RUNNING, "progress": progress})
        case "canceling":
            return job.model_copy(update={"cancel_requested": True})
    return job
