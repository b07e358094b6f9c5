"""Cancel, run again or delete many jobs in one call."""

from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, Any

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
from app.api.routes.bulk.filters import Caller, Cursor, ErrorType, Kinds, ModelId, Moment, Statuses, asked
from app.api.routes.jobs import IdempotencyKey
from app.api.services import Services, TheServices
from jobs.callers.audit import AuditAction
from jobs.callers.scopes import Scope
from jobs.errors import LodestarError, QueueUnavailableError
from jobs.status.job import JobStatus
from jobs.status.lists import Done, JobPage, Undone
from jobs.wire import MAX_ID_CHARS, AtMost, Label, SearchText, Wire, contradiction

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=OwnRoute)

MOST_JOBS = 200  # of one call, which is answered when all are done
ERRORS = (
    "invalid_request",
    "unknown_model",
    "queue_unavailable",
    "invalid_json",
    "unsupported_media_type",
    "body_too_large",
)


class ChosenJobs(Wire):
    """Jobs by their ids, or the newest that fit some filters."""

    ids: Annotated[
        tuple[Annotated[str, Field(max_length=MAX_ID_CHARS)], ...],
        AtMost(MOST_JOBS),
    ] = Field((), description="Ids of the jobs.", examples=[["01a203967d75b0c90aa928ee9db4"]])
    status: Statuses = Field(
        (),
        description=f"In place of ids: jobs of these statuses, the newest {MOST_JOBS} of them.",
        examples=[["queued"]],
    )
    label: Label | None = Field(None, description="In place of ids, or with a status: jobs of this label.")
    kind: Kinds = Field((), description="Likewise: jobs of these kinds.")
    q: SearchText | None = Field(None, description="Likewise: jobs whose prompt has this text.")
    model: ModelId | None = Field(None, description="Likewise: jobs of this model or CLIP.")
    caller: Caller | None = Field(None, description="Likewise: jobs of this caller, or of `anonymous` ones.")
    error: ErrorType | None = Field(None, description="Likewise: jobs that failed for this reason.")
    since: Moment | None = Field(None, description="Likewise: jobs submitted then or later.")
    until: Moment | None = Field(None, description="Likewise: jobs submitted before.")
    cursor: Cursor | None = Field(
        None, description="`next_cursor` of the answer before, to go on with older jobs; not with ids."
    )

    @property
    def filters(self) -> dict[str, Any]:
        """What is asked for in place of ids."""
        return {name: value for name, value in self if value and name not in ("ids", "cursor", "priority")}

    @model_validator(mode="after")
    def _are_chosen_one_way(self) -> "ChosenJobs":
        if bool(self.ids) == bool(self.filters):
            raise ValueError("give either ids, or a status, a label or another filter")
        if self.ids and self.cursor:
            raise contradiction(ChosenJobs, "cursor", self.cursor, "cursor goes with filters, not with ids")
        return self


@router.post("/cancel", summary="Cancel many jobs", responses=documented(*ERRORS))
@needs(Scope.JOBS_WRITE)
async def cancel_jobs(chosen: ChosenJobs, services: TheServices) -> Done:
    """Cancel jobs, each as by its own call: those that wait at once, those that run at their next step.

    Without ids and without a status: of the queued and the running jobs.
    """

    async def cancel(job_id: str) -> None:
        await run_in_threadpool(services.queue.cancel, job_id)

    return await do_to_each(services, chosen, (JobStatus.QUEUED, JobStatus.RUNNING), cancel)


@router.post("/delete", summary="Delete many jobs", responses=documented(*ERRORS, "artifacts_unavailable"))
@needs(Scope.JOBS_WRITE)
async def delete_jobs(request: Request, chosen: ChosenJobs, services: TheServices) -> Done:
    """Delete jobs, and their pictures; those that run stop. Without a status: jobs in any."""

    def delete_one(job_id: str) -> None:
        delete_with_files(services.queue, services.files, job_id)
        note(request, AuditAction.JOB_DELETED, job_id)

    async def delete(job_id: str) -> None:
        await run_in_threadpool(delete_one, job_id)

    return await do_to_each(services, chosen, (), delete)


@router.post("/retry", summary="Run many jobs again", responses=documented(*ERRORS, "stopping"))
@needs(Scope.JOBS_WRITE)
async def retry_jobs(
    request: Request,
    chosen: ChosenJobs,
    services: TheServices,
    caller: TheCaller,
    idempotency_key: IdempotencyKey = None,
) -> Done:
    """Queue a new job of the same request for each, as by its own call. What the queue has no room for is told.

    Without ids and without a status: of the failed and the canceled jobs.
    """
    made: list[str] = []

    async def retry(job_id: str) -> None:
        job = await run_in_threadpool(services.queue.get, job_id)
        key = None if idempotency_key is None else f"{idempotency_key}/{job_id}"
        made.append((await submit_job(request, request_again(job), key, caller)).job.id)

    done = await do_to_each(services, chosen, (JobStatus.FAILED, JobStatus.CANCELED), retry)
    return done.model_copy(update={"made": tuple(made)})


async def do_to_each(
    services: Services,
    chosen: ChosenJobs,
    usual: Collection[JobStatus],
    act: Callable[[str], Awaitable[None]],
) -> Done:
    """Act on each job that is chosen; where no status is, on those of the usual ones."""
    ids, cursor = tuple(dict.fromkeys(chosen.ids)), chosen.cursor  # which goes with filters alone
    if not ids:
        # All are found before the first is changed, and with that its place in the list.
        page = await run_in_threadpool(_found, services, chosen, usual)
        ids, cursor = tuple(job.id for job in page.data), page.next_cursor
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
    return Done(data=tuple(done), errors=tuple(errors), more=cursor is not None, next_cursor=cursor)


def _found(services: Services, chosen: ChosenJobs, usual: Collection[JobStatus]) -> JobPage:
    filters = {
        "kinds" if name == "kind" else "text" if name == "q" else name: value
        for name, value in chosen.filters.items()
    }
    if not chosen.status and not chosen.error:
        filters["status"] = usual
    return services.queue.list(cursor=chosen.cursor, limit=MOST_JOBS, **asked(services.catalog, **filters))
