"""Search the kept pictures by a text or by a picture."""

import math
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app.api.access.caller import TheCaller
from app.api.access.keys.needs import needs
from app.api.following.waiting import await_end, require_success
from app.api.intake.intake import OwnRoute
from app.api.intake.task_submission import submit_task
from app.api.pictures.picture_refs import Ref, find_pictures
from app.api.pictures.store_access import forget_files, reaching_the_store
from app.api.pictures.uploads import Received, keep_pictures
from app.api.problems.handlers import documented
from app.api.search.generation import Found
from app.api.search.index import SearchIndex
from app.api.services import Services, TheServices
from jobs.callers.scopes import Scope
from jobs.errors import (
    ClipMismatchError,
    InvalidRequestError,
    SearchTimedOutError,
    UnknownEmbeddingError,
    UnknownJobError,
)
from jobs.queue.submission import new_job_id
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import Place, QueryTask
from jobs.status.hits import Hit, Hits
from jobs.storage.embeddings import describe
from jobs.storage.job_files import NO_FILES, BroughtFiles
from jobs.storage.safetensors_header import read_floats
from jobs.wire import MAX_QUERY_CHARS

router = APIRouter(prefix="/v1/search", tags=["aesthetics"], route_class=OwnRoute)

QUERY_TIMEOUT_S = 60
REMEMBERED_QUERIES = 256
DEFAULT_WEIGHT = 0.5

Score = Annotated[
    int | None,
    Field(
        ge=0,
        le=9,
        description="Prefer pictures that people would rate so, from 0 to 9: the query is moved towards the embedding "
        "named `rating` and this number. Not moved if left out.",
        examples=[9],
    ),
]
Weight = Annotated[
    float | None,
    Field(
        ge=0,
        le=10,
        allow_inf_nan=False,
        description=f"How far it is moved; {DEFAULT_WEIGHT} if left out. Needs `aesthetic_score`.",
        examples=[0.5],
    ),
]
Limit = Annotated[int, Field(ge=1, le=200, description="Pictures at most.", examples=[20])]
_ERRORS = (
    "invalid_request",
    "invalid_file",
    "unknown_embedding",
    "unknown_job",
    "unknown_image",
    "job_not_finished",
    "clip_mismatch",
    "missing_extra",
    "queue_full",
    "rate_limited",
    "quota_exceeded",
    "queue_unavailable",
    "artifacts_unavailable",
    *("search_timed_out", "job_failed", "job_canceled"),
    "stopping",
    "body_too_large",
)


@router.get("", summary="Search pictures by text", responses=documented(*_ERRORS))
@needs(Scope.SEARCH)
async def search_by_text(
    request: Request,
    services: TheServices,
    caller: TheCaller,
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=MAX_QUERY_CHARS,
            description="Description of the pictures.",
            examples=["a red apple"],
        ),
    ],
    aesthetic_score: Annotated[Score, Query()] = None,
    aesthetic_weight: Annotated[Weight, Query()] = None,
    limit: Annotated[Limit, Query()] = 20,
) -> Hits:
    """The kept pictures that are most similar to a text."""
    move = await run_in_threadpool(_move, services, aesthetic_score, aesthetic_weight)
    # By tenant: a quick answer would tell that somebody else has searched for the same.
    remembered, asked = services.queries, (services.tenant, q)
    if asked not in remembered:
        task = QueryTask(clip=services.catalog.aesthetic_scorer.id, text=q, timeout_s=QUERY_TIMEOUT_S)
        remembered[asked] = await _place(request, services, task, new_job_id(), caller)
        while len(remembered) > REMEMBERED_QUERIES:
            remembered.popitem(last=False)
    return await _search(services, _moved(remembered[asked], *move), limit)


@router.post(
    "",
    summary="Search pictures by picture",
    responses=documented(*_ERRORS, "invalid_form", "unsupported_media_type"),
)
@needs(Scope.SEARCH)
async def search_by_picture(
    request: Request,
    services: TheServices,
    caller: TheCaller,
    picture: Annotated[UploadFile | None, File(description="A PNG, JPEG or WebP file.")] = None,
    job: Annotated[
        Ref | None, Form(max_length=200, description="Instead of a file: `id/index` of a picture.")
    ] = None,
    aesthetic_score: Annotated[Score, Form()] = None,
    aesthetic_weight: Annotated[Weight, Form()] = None,
    limit: Annotated[Limit, Form()] = 20,
) -> Hits:
    """The kept pictures that are most similar to another one."""
    if (picture is None) == (job is None):
        raise InvalidRequestError("give either a picture or a job's picture", field="picture")
    move = await run_in_threadpool(_move, services, aesthetic_score, aesthetic_weight)
    refs = [] if job is None else [job]
    of_job = await run_in_threadpool(find_pictures, refs, services.queue, "job")
    job_id = new_job_id()
    uploads = [] if picture is None else [Received(picture, "picture")]
    keys, files = await keep_pictures(request, job_id, uploads)
    key = (*keys, *of_job)[0]
    task = QueryTask(clip=services.catalog.aesthetic_scorer.id, picture=key, timeout_s=QUERY_TIMEOUT_S)
    place = await _place(request, services, task, job_id, caller, files)
    return await _search(services, _moved(place, *move), limit)


async def _place(
    request: Request,
    services: Services,
    task: QueryTask,
    job_id: str,
    caller: str,
    files: BroughtFiles = NO_FILES,
) -> list[float]:
    """The query's embedding by a worker. Its job is deleted afterwards."""
    try:
        job = await submit_task(request, task, job_id, caller, files)
        job = await await_end(request, job, timeout_s=QUERY_TIMEOUT_S, on_hang_up="leave")
    finally:
        await run_in_threadpool(_sweep, services, job_id)
    if isinstance(job.result, Place):
        return list(job.result.vector)
    if job.status.is_terminal:
        require_success(job)  # else somebody has canceled it, or it has failed
    raise SearchTimedOutError(f"no worker has read the query within {QUERY_TIMEOUT_S} s")


def _sweep(services: Services, job_id: str) -> None:
    forget_files(services.artifacts, job_id)
    try:
        services.queue.delete(job_id)
    except UnknownJobError:
        return  # it was never accepted


def _move(services: Services, score: int | None, weight: float | None) -> tuple[list[float], float]:
    """The unit vector that the query moves towards, and the weight."""
    if score is None:
        if weight is not None:
            raise InvalidRequestError("aesthetic_weight needs an aesthetic_score", field="aesthetic_weight")
        return [], 0.0
    name, clip = f"rating{score}", services.catalog.aesthetic_scorer.id
    with reaching_the_store():
        try:
            file = services.embeddings.file(name)
        except UnknownEmbeddingError as error:
            raise UnknownEmbeddingError(
                f"there is no aesthetic embedding {name!r}, which aesthetic_score {score} needs; make or import it",
                field="aesthetic_score",
            ) from error
    info = describe(file, name)
    if info.clip != clip:
        raise ClipMismatchError(
            f"the embedding {name!r} was made by {info.clip}, and pictures are found by {clip}",
            field="aesthetic_score",
        )
    return _unit(read_floats(file, "embedding", name)), DEFAULT_WEIGHT if weight is None else weight


def _moved(query: list[float], towards: list[float], weight: float) -> list[float]:
    """Q = unit(q + w E[a]), as clip-retrieval does it."""
    if not towards or not weight:
        return query
    return _unit([q + weight * e for q, e in zip(query, towards, strict=True)])


def _unit(vector: list[float]) -> list[float]:
    norm = math.hypot(*vector)
    return [number / norm for number in vector] if norm else vector


async def _search(services: Services, vector: list[float], limit: int) -> Hits:
    with reaching_the_store():
        index = await services.search.opened(QUERY_TIMEOUT_S)
    return await run_in_threadpool(_hits, services, index, vector, limit)


def _hits(services: Services, index: SearchIndex, vector: list[float], limit: int) -> Hits:
    hits: list[Hit] = []
    with reaching_the_store():
        wanted = limit
        while True:
            found = index.nearest(vector, wanted, services.tenant)
            hits = [hit for hit in (_hit(services, index, each) for each in found) if hit is not None]
            if len(hits) >= limit or len(found) < wanted:
                break
            wanted *= 2  # some were of jobs that are gone
    return Hits(clip=services.catalog.aesthetic_scorer.id, data=tuple(hits[:limit]))


def _hit(services: Services, index: SearchIndex, found: Found) -> Hit | None:
    """The picture in its job; None if the job does not have it, or not yet."""
    try:
        job = services.queue.get(found.job_id)
        stored = services.queue.images(found.job_id)
    except UnknownJobError:
        index.forget(found.job_id, found.fence)
        return None
    keys = {image.index: image.key for image in stored}
    is_its_own = keys.get(found.index, "").startswith(f"{found.job_id}/{found.fence}/")
    if not job.status.is_terminal or not is_its_own or not isinstance(job.request, ResolvedRequest):
        if job.status.is_terminal:
            index.forget(found.job_id, found.fence)
        return None
    (image,) = (image for image in job.images if image.index == found.index)
    return Hit(similarity=round(found.similarity, 6), job_id=job.id, prompt=job.request.prompt, image=image)
