"""Cancel, run again or delete many jobs in one call."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field, model_validator
from starlette.concurrency import run_in_threadpool

from app.api.access.auditing import note
from app.api.access.caller import TheCaller
from app.api.access.keys.needs import needs
from app.api.intake.again import request_again
from app.api.intake.intake import OwnRoute
from app.api.intake.submission import submit_job
from app.api.pictures.store_access import delete_with_files
from app.api.problems.handlers import documented
from app.api.routes.jobs import IdempotencyKey
from app.api.services import TheServices
from jobs.callers.audit import AuditAction
from jobs.callers.scopes import Scope
from jobs.errors import LodestarError, QueueUnavailableError
from jobs.queue.queue import JobQueue
from jobs.status.job import JobStatus
from jobs.wire import MAX_ID_CHARS, AtMost, Wire

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=OwnRoute)

MOST_JOBS = 200  # of one call, which is answered when all are done
_ERRORS = ("invalid_request", "queue_unavailable", "invalid_json", "unsupported_media_type", "body_too_large")


class ChosenJobs(Wire):
    """Jobs by their ids, or the newest of some statuses."""

    ids: Annotated[
        tuple[Annotated[str, Field(max_length=MAX_ID_CHARS)], ...],
        AtMost(MOST_JOBS),
    ] = Field((), description="Ids of the jobs.", examples=[["01a203967d75b0c90aa928ee9db4"]])
    status: Annotated[tuple[JobStatus, ...], AtMost(len(JobStatus))] = Field(
        (),
        description=f"In place of ids: jobs of these statuses, the newest {MOST_JOBS} of them.",
        examples=[["queued"]],
    )

    @model_validator(mode="after")
    def _are_chosen_one_way(self) -> "ChosenJobs":
        if bool(self.ids) == bool(self.status):
            raise ValueError("give either ids or status")
        return self


class Undone(Wire):
    """A job for which the call did nothing."""

    id: str = Field(description="Id of the job.")
    type: str = Field(description="Kind of the error.", examples=["unknown_job"])
    message: str = Field(description="One sentence for a person.")


class Done(Wire):
    """What came of a call for many jobs."""

    data: tuple[str, ...] = Field(
        description="Ids of the jobs that were canceled, run again or deleted, in the order of the call."
    )
    made: tuple[str, ...] = Field((), description="Ids of the new jobs, if they were run again.")
    errors: tuple[Undone, ...] = Field(description="Jobs for which nothing was done, and why.")
    more: bool = Field(
        description="Whether more jobs of the statuses may be left: repeat the call to go on with them."
    )


@router.post("/cancel", summary="Cancel many jobs", responses=documented(*_ERRORS))
@needs(Scope.JOBS_WRITE)
async def cancel_jobs(chosen: ChosenJobs, services: TheServices) -> Done:
    """Cancel jobs, each as by its own call: those that wait at once, those that run at their next step."""

    async def cancel(job_id: str) -> None:
        await run_in_threadpool(services.queue.cancel, job_id)

    return await _each(chosen, services.queue, cancel)


@router.post("/delete", summary="Delete many jobs", responses=documented(*_ERRORS, "artifacts_unavailable"))
@needs(Scope.JOBS_WRITE)
async def delete_jobs(request: Request, chosen: ChosenJobs, services: TheServices) -> Done:
    """Delete jobs in any status, and their pictures; those that run stop."""

    def delete_one(job_id: str) -> None:
        delete_with_files(services.queue, services.files, job_id)
        note(request, AuditAction.JOB_DELETED, job_id)

    async def delete(job_id: str) -> None:
        await run_in_threadpool(delete_one, job_id)

    return await _each(chosen, services.queue, delete)


@router.post("/retry", summary="Run many jobs again", responses=documented(*_ERRORS, "stopping"))
@needs(Scope.JOBS_WRITE)
async def retry_jobs(
    request: Request,
    chosen: ChosenJobs,
    services: TheServices,
    caller: TheCaller,
    idempotency_key: IdempotencyKey = None,
) -> Done:
    """Queue a new job of the same request for each, as by its own call. What the queue has no room for is told."""
    made: list[str] = []

    async def retry(job_id: str) -> None:
        job = await run_in_threadpool(services.queue.get, job_id)
        key = None if idempotency_key is None else f"{idempotency_key}/{job_id}"
        made.append((await submit_job(request, request_again(job), key, caller)).job.id)

    done = await _each(chosen, services.queue, retry)
    return done.model_copy(update={"made": tuple(made)})


async def _each(chosen: ChosenJobs, queue: JobQueue, act: Callable[[str], Awaitable[None]]) -> Done:
    ids, more = tuple(dict.fromkeys(chosen.ids)), False
    if chosen.status:
        # All are found before the first is changed, and with that its place in the list.
        page = await run_in_threadpool(queue.list, status=chosen.status, limit=MOST_JOBS)
        ids, more = tuple(job.id for job in page.data), page.next_cursor is not None
    done, errors = [], []
    for job_id in ids:
        try:
            await act(job_id)
        except QueueUnavailableError:
            raise  # as for all that would follow
        except LodestarError as error:
            errors.append(Undone(id=job_id, type=error.type, message=error.message))
        else:
            done.append(job_id)
    return Done(data=tuple(done), errors=tuple(errors), more=more)
