"""From a request of any route to a queued job."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.access.auditing import note
from app.api.intake.moderation import Moderator
from app.api.pictures.brought_pictures import Brought, bring_pictures
from app.api.pictures.store_access import forget_files, forgetting_files, reaching_the_store
from app.api.services import Services, services_of
from jobs.callers.audit import AuditAction
from jobs.errors import ContentBlockedError
from jobs.queue.ledger import Quote
from jobs.queue.submission import NATIVE, Presentation, Submission, new_job_id
from jobs.requests.pictures import PictureFacts, pictures_in
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import NO_PICTURES, resolve


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
        LodestarError: as for ``resolve``, ``AddressPolicy.check``, ``Moderator.judge``, ``bring_pictures`` and
            ``JobQueue.submit``.
        ArtifactsUnavailableError: the store, which holds the aesthetic embeddings, cannot be reached.
    """
    services = services_of(request)
    # All that can be refused without the pictures is refused before they are read.
    resolved = await run_in_threadpool(resolve_for, wanted, services)
    if wanted.webhook is not None:
        services.addresses.check(wanted.webhook.url)
    presentation = await moderated(request, wanted, presentation)
    job_id, brought = new_job_id(), Brought()
    has_pictures = bool(pictures_in(wanted))
    async with forgetting_files(services.artifacts, job_id) if has_pictures else nullcontext():
        if has_pictures:
            stored, brought = await bring_pictures(request, job_id, wanted, caller)
            resolved = await run_in_threadpool(resolve_for, stored, services, brought.facts)
        submission = await run_in_threadpool(
            services.queue.submit,
            resolved,
            idempotency_key=idempotency_key,
            key_owner=key_owner,
            original=wanted,
            caller=caller,
            presentation=presentation,
            job_id=job_id,
            files=brought.files,
        )
    if submission.job.id != job_id and has_pictures:
        await run_in_threadpool(forget_files, services.artifacts, job_id)  # the first job has them
    request.state.job_id = submission.job.id
    return submission


async def moderated(request: Request, wanted: GenerateRequest, presentation: Presentation) -> Presentation:
    """How to show the job, with a note if its prompt was flagged or not judged.

    Raises:
        LodestarError: as for ``Moderator.judge``.
    """
    moderator: Moderator | None = request.app.state.moderator
    if moderator is None:
        return presentation
    try:
        verdict = await moderator.judge(wanted)
    except ContentBlockedError as error:
        note(request, AuditAction.CONTENT_FLAGGED, request.scope["path"], detail=error.message)
        raise
    if verdict.is_flagged:
        note(request, AuditAction.CONTENT_FLAGGED, request.scope["path"], detail=verdict.note)
    told = (verdict.note,) if verdict.note else ()
    return replace(presentation, notes=(*presentation.notes, *told))


async def quote_job(request: Request, wanted: GenerateRequest, caller: str) -> Quote:
    """What ``submit_job`` would queue, and what it would cost. Nothing is stored, not even the pictures.

    Raises:
        LodestarError: as for ``submit_job``, but for those of quotas.
    """
    services = services_of(request)
    resolved = await run_in_threadpool(resolve_for, wanted, services)
    if wanted.webhook is not None:
        services.addresses.check(wanted.webhook.url)
    if pictures_in(wanted):
        named, brought = await bring_pictures(request, None, wanted, caller)
        resolved = await run_in_threadpool(resolve_for, named, services, brought.facts)
    return await run_in_threadpool(_quote, services, resolved, caller)


def _quote(services: Services, resolved: ResolvedRequest, caller: str) -> Quote:
    return services.ledger.quote(resolved, services.payer(), tenant=services.tenant, caller=caller)


def resolve_for(
    wanted: GenerateRequest, services: Services, pictures: Mapping[str, PictureFacts] = NO_PICTURES
) -> ResolvedRequest:
    """The request as ``resolve`` fills it in for its sender; raises likewise, and ArtifactsUnavailableError."""
    with reaching_the_store():
        return resolve(wanted, services.catalog, services.embeddings, services.limits, pictures)
