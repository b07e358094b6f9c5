"""From a request of any route to a queued job."""

from contextlib import nullcontext

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.pictures.objective_pictures import keep_objective_pictures, names_pictures
from app.api.pictures.store_access import forget_files, forgetting_files, reaching_the_store
from app.api.services import Services, services_of
from jobs.queue.submission import NATIVE, Presentation, Submission, new_job_id
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve


async def submit_job(
    request: Request,
    wanted: GenerateRequest,
    idempotency_key: str | None,
    caller: str,
    *,
    key_owner: str | None = None,
    presentation: Presentation = NATIVE,
) -> Submission:
    """Queue a job; the arguments are those of ``JobQueue.submit``.

    Raises:
        LodestarError: as for ``resolve``, ``AddressPolicy.check``, ``keep_objective_pictures`` and ``JobQueue.submit``.
        ArtifactsUnavailableError: the store, which holds the aesthetic embeddings, cannot be reached.
    """
    services = services_of(request)
    resolved = await run_in_threadpool(_resolve, wanted, services)
    if wanted.webhook is not None:
        services.addresses.check(wanted.webhook.url)
    job_id = new_job_id()
    async with forgetting_files(services.artifacts, job_id) if names_pictures(resolved) else nullcontext():
        resolved, files = await keep_objective_pictures(request, job_id, resolved)
        submission = await run_in_threadpool(
            services.queue.submit,
            resolved,
            idempotency_key=idempotency_key,
            key_owner=key_owner,
            original=wanted,
            caller=caller,
            presentation=presentation,
            job_id=job_id,
            files=files,
        )
    if submission.job.id != job_id and files.inputs:
        await run_in_threadpool(forget_files, services.artifacts, job_id)  # the first job has them
    request.state.job_id = submission.job.id
    return submission


def _resolve(wanted: GenerateRequest, services: Services) -> ResolvedRequest:
    with reaching_the_store():
        return resolve(wanted, services.catalog, services.embeddings, services.limits)
