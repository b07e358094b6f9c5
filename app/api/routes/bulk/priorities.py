"""Another priority for jobs that wait."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app.api.access.auditing import watcher
from app.api.access.caller import identity_of
from app.api.access.keys.needs import needs
from app.api.intake.intake import OwnRoute
from app.api.problems.handlers import documented
from app.api.routes.bulk.bulk import ERRORS, ChosenJobs, do_to_each
from app.api.routes.jobs import JobId
from app.api.services import TheServices
from jobs.callers.identity import view_of
from jobs.callers.record import DEFAULT_TENANT
from jobs.callers.scopes import Scope
from jobs.queue.priority import Priorities
from jobs.requests.request import Priority
from jobs.status.job import Job, JobStatus
from jobs.status.lists import Done
from jobs.wire import Wire

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=OwnRoute)

_WANTED = "The new priority: a share of the caller's work, `low` 1, `normal` 4, `high` 16."


class NewPriority(Wire):
    """Another priority for one job."""

    priority: Priority = Field(description=_WANTED, examples=["high"])


class NewPriorities(ChosenJobs):
    """Another priority for jobs that are chosen by their ids, or by filters."""

    priority: Priority = Field(description=_WANTED, examples=["high"])


def _priorities(request: Request, services: TheServices) -> Priorities:
    """Those of the jobs that the sender sees."""
    identity = identity_of(request)
    view = view_of(identity).watched(watcher(request, services, identity))
    return Priorities(
        services.redis, view, lambda tenant: services.tenants.get(tenant or DEFAULT_TENANT).weight
    )


ThePriorities = Annotated[Priorities, Depends(_priorities)]


@router.post("/prioritize", summary="Prioritize many jobs", responses=documented(*ERRORS))
@needs(Scope.JOBS_WRITE)
async def prioritize_jobs(chosen: NewPriorities, services: TheServices, priorities: ThePriorities) -> Done:
    """Give waiting jobs another priority, each as by its own call.

    Without ids and without a status: the queued jobs.
    """

    async def prioritize(job_id: str) -> None:
        await run_in_threadpool(priorities.change, job_id, chosen.priority)

    return await do_to_each(services, chosen, (JobStatus.QUEUED,), prioritize)


@router.post(
    "/{job_id}/prioritize",
    summary="Prioritize a job",
    responses=documented("unknown_job", "job_not_waiting", *ERRORS),
)
@needs(Scope.JOBS_WRITE)
def prioritize_job(
    job_id: JobId, wanted: Annotated[NewPriority, Body()], services: TheServices, priorities: ThePriorities
) -> Job:
    """Give a waiting job another priority; the job after that, with its new place.

    It takes the place of a new job of that priority. One that is raised never falls behind where it was, and one that
    is lowered never comes forward.
    """
    priorities.change(job_id, wanted.priority)
    return services.queue.get(job_id)
