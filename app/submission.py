"""From a request to a queued job, whatever route it came by."""

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.services import Services, services_of
from app.store_access import reaching_the_store
from jobs.queue import Submission
from jobs.request import GenerateRequest, ResolvedRequest
from jobs.resolve import resolve


async def submit_job(
    request: Request,
    wanted: GenerateRequest,
    idempotency_key: str | None,
    caller: str,
    *,
    prediction_base: str = "",
) -> Submission:
    """Queue a job; the arguments are those of ``JobQueue.submit``.

    Raises:
        LodestarError: as for ``resolve``, ``AddressPolicy.check`` and ``JobQueue.submit``.
        ArtifactsUnavailableError: the store, which holds the aesthetic embeddings, cannot be reached.
    """
    services = services_of(request)
    resolved = await run_in_threadpool(_resolve, wanted, services)
    if wanted.webhook is not None:
        services.addresses.check(wanted.webhook.url)
    submission = await run_in_threadpool(
        services.queue.submit,
        resolved,
        idempotency_key=idempotency_key,
        original=wanted,
        caller=caller,
        prediction_base=prediction_base,
    )
    request.state.job_id = submission.job.id
    return submission


def _resolve(wanted: GenerateRequest, services: Services) -> ResolvedRequest:
    with reaching_the_store():
        return resolve(wanted, services.catalog, services.embeddings)
