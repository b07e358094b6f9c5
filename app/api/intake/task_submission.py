"""Hand a small task to the queue, and answer with its job."""

from typing import Annotated

from fastapi import Header, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.following.waiting import nobody_waits, preferred_wait_s, wait_for_end
from app.api.pictures.store_access import forgetting_files
from app.api.services import services_of
from jobs.requests.tasks import Task
from jobs.status.job import Job
from jobs.storage.job_files import NO_FILES, BroughtFiles

Prefer = Annotated[
    str | None,
    Header(
        description="`wait=N` holds the answer back until the job has ended, for N seconds at most, up to 60.",
        examples=["wait=30"],
    ),
]


async def submit_task(
    request: Request,
    response: Response,
    task: Task,
    job_id: str,
    prefer: str | None,
    caller: str,
    files: BroughtFiles = NO_FILES,
) -> Job:
    """Queue a task whose files are stored already; the job, as ``POST /v1/jobs`` answers.

    Raises:
        QueueFullError: too many jobs wait. Its files are removed again.
        QueueUnavailableError: likewise.
    """
    services = services_of(request)
    task = task.model_copy(update={"timeout_s": min(task.timeout_s, services.limits.timeout_s)})
    async with forgetting_files(services.artifacts, job_id):
        submission = await run_in_threadpool(
            services.queue.submit, task, job_id=job_id, caller=caller, files=files
        )
    job = submission.job
    request.state.job_id = job.id
    response.headers["Location"] = job.urls["self"]
    response.status_code = 202
    if (wait_s := preferred_wait_s(prefer)) is not None:
        job = await wait_for_end(services.queue, job, wait_s, nobody_waits(request))
        response.headers["Preference-Applied"] = f"wait={wait_s}"
        response.status_code = 200 if job.status.is_terminal else 202
    return job
