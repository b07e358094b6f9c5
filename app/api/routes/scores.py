"""Score pictures that clients bring."""

from typing import Annotated

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from starlette.concurrency import run_in_threadpool

from app.api.access.caller import TheCaller
from app.api.access.keys.needs import needs
from app.api.following.preference import Prefer, answer_accepted
from app.api.intake.intake import OwnRoute
from app.api.intake.task_submission import submit_task
from app.api.pictures.picture_refs import find_pictures
from app.api.pictures.uploads import Received, keep_pictures
from app.api.problems.handlers import documented
from app.api.routes.embeddings import Refs
from app.api.services import Services, TheServices
from jobs.callers.scopes import Scope
from jobs.errors import InvalidRequestError
from jobs.queue.submission import new_job_id
from jobs.requests.tasks import ScoreTask
from jobs.status.job import Job
from jobs.wire import MAX_QUERY_CHARS, AtMost

router = APIRouter(prefix="/v1/scores", tags=["aesthetics"], route_class=OwnRoute)

MAX_SCORED = 64


@router.post(
    "",
    status_code=202,
    summary="Score pictures",
    response_description="A job that scores them was accepted.",
    responses={
        200: {"model": Job, "description": "With `Prefer: wait`: the job, which has ended within the time."},
        **documented(
            "invalid_request",
            "invalid_file",
            "unknown_model",
            "unknown_job",
            "unknown_image",
            "job_not_finished",
            "queue_full",
            "rate_limited",
            "quota_exceeded",
            "queue_unavailable",
            "artifacts_unavailable",
            "stopping",
            "body_too_large",
            "invalid_form",
            "unsupported_media_type",
        ),
    },
)
@needs(Scope.JOBS_WRITE)
async def score_pictures(
    request: Request,
    response: Response,
    services: TheServices,
    caller: TheCaller,
    pictures: Annotated[
        list[UploadFile], AtMost(MAX_SCORED), File(description="PNG, JPEG or WebP files.")
    ] = [],  # noqa: B006
    jobs: Refs = [],  # noqa: B006
    prompt: Annotated[
        str | None,
        Form(
            min_length=1,
            max_length=MAX_QUERY_CHARS,
            description="Text to compare the pictures with; if left out, they have no `clip_score`.",
        ),
    ] = None,
    clip: Annotated[
        str | None,
        Form(
            max_length=100,
            description="Id of the CLIP that scores them. Default: the catalog's aesthetic scorer.",
        ),
    ] = None,
    prefer: Prefer = None,
) -> Job:
    """Score pictures: similarity to a prompt, and the score of the CLIP's aesthetic predictor.

    The job's `result` has one entry for each picture: the uploaded ones first, then those of jobs.
    """
    # Cheap checks come first.
    scorer = services.catalog.clip(clip, "clip") if clip else services.catalog.aesthetic_scorer
    of_jobs = await run_in_threadpool(_kept_pictures, services, jobs, len(pictures))
    job_id = new_job_id()
    keys, files = await keep_pictures(request, job_id, [Received(each, "pictures") for each in pictures])
    task = ScoreTask(clip=scorer.id, prompt=prompt, pictures=(*keys, *of_jobs))
    job = await submit_task(request, task, job_id, caller, files)
    return await answer_accepted(request, response, job, prefer)


def _kept_pictures(services: Services, refs: list[str], uploaded: int) -> list[str]:
    of_jobs = find_pictures(refs, services.queue, "jobs")
    if not 1 <= uploaded + len(of_jobs) <= MAX_SCORED:
        raise InvalidRequestError(f"give 1 to {MAX_SCORED} pictures", field="pictures")
    return of_jobs
