"""Hand a small task to the queue."""

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.pictures.store_access import forgetting_files
from app.api.services import Services, services_of
from jobs.requests.tasks import Task
from jobs.status.job import Job
from jobs.storage.job_files import NO_FILES, BroughtFiles


async def submit_task(
    request: Request, task: Task, job_id: str, caller: str, files: BroughtFiles = NO_FILES
) -> Job:
    """Queue a task whose files are stored already; its job.

    Raises:
        QueueFullError, RateLimitedError, QuotaExceededError: as for ``JobQueue.submit``. Its files are removed again.
        InvalidRequestError: it costs more than the sender's quotas can ever grant. Likewise.
        QueueUnavailableError: Redis is away.
    """
    services = services_of(request)
    async with forgetting_files(services.artifacts, job_id):
        task = await run_in_threadpool(_checked, services, task)
        submission = await run_in_threadpool(
            services.queue.submit, task, job_id=job_id, caller=caller, files=files
        )
    request.state.job_id = submission.job.id
    return submission.job


def _checked(services: Services, task: Task) -> Task:
    return services.limits.checked(task)
