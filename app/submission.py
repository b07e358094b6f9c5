"""From a request to a queued job, whatever route it came by."""

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.services import services_of
from jobs.queue import Submission
from jobs.request import GenerateRequest
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
    """
    services = services_of(request)
    resolved = resolve(wanted, services.catalog)
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
