"""Aesthetic embeddings: make them from pictures, import and export them."""

from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, File, Form, Path, Request, Response, UploadFile
from starlette.concurrency import run_in_threadpool

from app.api.access.auditing import note
from app.api.access.caller import TheCaller
from app.api.access.keys.needs import needs
from app.api.following.preference import Prefer, answer_accepted
from app.api.intake.intake import OwnRoute
from app.api.intake.task_submission import submit_task
from app.api.pictures.picture_refs import Ref, find_pictures
from app.api.pictures.store_access import reaching_the_store
from app.api.pictures.uploads import MAX_PICTURES, Received, keep_file, keep_pictures
from app.api.problems.handlers import documented
from app.api.problems.validation import otherwise
from app.api.services import Services, TheServices
from jobs.callers.audit import AuditAction
from jobs.callers.scopes import Scope
from jobs.errors import InvalidFileError, InvalidRequestError, NameTakenError, UnknownEmbeddingError
from jobs.queue.submission import new_job_id
from jobs.requests.embeddings import EmbeddingInfo, EmbeddingList, EmbeddingName
from jobs.requests.tasks import EmbeddingTask, ImportTask
from jobs.resolve.aesthetics import text_clip
from jobs.status.job import Job
from jobs.wire import AtMost

router = APIRouter(prefix="/v1/aesthetic-embeddings", tags=["aesthetics"], route_class=OwnRoute)

_SUFFIXES = (".pt", ".pth", ".npy", ".safetensors")
_PICTURES = "PNG, JPEG or WebP files."
_REFS = "Ids of finished jobs, for all of their pictures, or `id/index` for one."
_ERRORS = (
    "invalid_request",
    "invalid_file",
    "unknown_model",
    "name_taken",
    "queue_full",
    "rate_limited",
    "quota_exceeded",
    "queue_unavailable",
    "artifacts_unavailable",
    "stopping",
    "body_too_large",
    "invalid_form",
    "unsupported_media_type",
)

TakenName = Annotated[
    EmbeddingName,
    otherwise(lambda name: UnknownEmbeddingError(f"there is no aesthetic embedding {name!r}")),
    Path(description="Name of the embedding.", examples=["fluent"]),
]
NewName = Annotated[EmbeddingName, Form(description="A new name.")]
Clip = Annotated[
    str | None,
    Form(
        max_length=100,
        description="Id of the CLIP to make it with; if left out, the one that the first model's text encoder "
        "belongs to, which personalization of that model needs.",
    ),
]
Pictures = Annotated[list[UploadFile], AtMost(MAX_PICTURES), File(description=_PICTURES)]
Refs = Annotated[list[Ref], AtMost(MAX_PICTURES), Form(description=_REFS)]


@router.post(
    "",
    status_code=202,
    summary="Make an aesthetic embedding",
    response_description="A job that makes it was accepted.",
    responses={
        200: {"model": Job, "description": "With `Prefer: wait`: the job, which has ended within the time."},
        **documented(*_ERRORS, "unknown_job", "unknown_image", "job_not_finished", "no_image_tower"),
    },
)
@needs(Scope.EMBEDDINGS)
async def make_embedding(
    request: Request,
    response: Response,
    services: TheServices,
    caller: TheCaller,
    name: NewName,
    clip: Clip = None,
    normalize: Annotated[bool, Form(description="Let every picture count the same.")] = True,
    pictures: Pictures = [],  # noqa: B006 -- FastAPI copies it
    jobs: Refs = [],  # noqa: B006
    minus_pictures: Pictures = [],  # noqa: B006
    minus_jobs: Refs = [],  # noqa: B006
    prefer: Prefer = None,
) -> Job:
    """Make an embedding as the mean of pictures, uploaded or of finished jobs.

    With `minus_pictures` or `minus_jobs`, it subtracts their mean, and the embedding separates the first from the
    second. The job's `result` describes the embedding; from then on requests can name it.
    """
    # Cheap checks come first.
    clip_id = _clip(services, clip)
    await run_in_threadpool(_require_new, services, name)
    of_jobs = await run_in_threadpool(find_pictures, jobs, services.queue, "jobs")
    minus_of_jobs = await run_in_threadpool(find_pictures, minus_jobs, services.queue, "minus_jobs")
    _require_pictures(len(pictures) + len(of_jobs), len(minus_pictures) + len(minus_of_jobs))
    job_id = new_job_id()
    uploads = [Received(each, "pictures") for each in pictures]
    uploads += [Received(each, "minus_pictures") for each in minus_pictures]
    keys, files = await keep_pictures(request, job_id, uploads)
    task = EmbeddingTask(
        clip=clip_id,
        name=name,
        normalize=normalize,
        pictures=(*keys[: len(pictures)], *of_jobs),
        minus=(*keys[len(pictures) :], *minus_of_jobs),
    )
    job = await submit_task(request, task, job_id, caller, files)
    return await answer_accepted(request, response, job, prefer)


@router.post(
    "/import",
    status_code=202,
    summary="Import an aesthetic embedding",
    response_description="A job that reads it was accepted.",
    responses={
        200: {"model": Job, "description": "With `Prefer: wait`: the job, which has ended within the time."},
        **documented(*_ERRORS, "no_image_tower"),
    },
)
@needs(Scope.EMBEDDINGS)
async def import_embedding(
    request: Request,
    response: Response,
    services: TheServices,
    caller: TheCaller,
    name: NewName,
    file: Annotated[UploadFile, File(description="A .pt, .npy or .safetensors file with one vector.")],
    clip: Clip = None,
    prefer: Prefer = None,
) -> Job:
    """Import a published embedding. The file is read as numbers; no code in it runs."""
    filename = PurePath(file.filename or "").name
    suffix = PurePath(filename).suffix.lower()
    if suffix not in _SUFFIXES:
        raise InvalidFileError(f"the file's name must end in one of {', '.join(_SUFFIXES)}", field="file")
    clip_id = _clip(services, clip)
    await run_in_threadpool(_require_new, services, name)
    job_id = new_job_id()
    key, files = await keep_file(request, job_id, file, suffix)
    task = ImportTask(clip=clip_id, name=name, file=key, filename=filename[-100:])
    job = await submit_task(request, task, job_id, caller, files)
    return await answer_accepted(request, response, job, prefer)


@router.get("", summary="List aesthetic embeddings", responses=documented("artifacts_unavailable"))
@needs(Scope.EMBEDDINGS)
def list_embeddings(services: TheServices) -> EmbeddingList:
    """The embeddings that a request may name."""
    with reaching_the_store():
        return EmbeddingList(data=services.embeddings.list())


@router.get(
    "/{name}",
    summary="Get an aesthetic embedding",
    responses=documented("unknown_embedding", "artifacts_unavailable"),
)
@needs(Scope.EMBEDDINGS)
def get_embedding(name: TakenName, services: TheServices) -> EmbeddingInfo:
    """The description of an embedding."""
    with reaching_the_store():
        return services.embeddings.get(name)


@router.get(
    "/{name}/file",
    summary="Export an aesthetic embedding",
    response_class=Response,
    response_description="A safetensors file with the vector as `embedding`.",
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        **documented("unknown_embedding", "artifacts_unavailable"),
    },
)
@needs(Scope.EMBEDDINGS)
def export_embedding(name: TakenName, services: TheServices) -> Response:
    """The embedding as a file; its metadata name the CLIP, and it can be imported again."""
    with reaching_the_store():
        data = services.embeddings.file(name)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.safetensors"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(data, headers=headers, media_type="application/octet-stream")


@router.delete(
    "/{name}",
    status_code=204,
    summary="Delete an aesthetic embedding",
    response_description="It is gone; jobs that wait with it will fail.",
    responses=documented("unknown_embedding", "artifacts_unavailable"),
)
@needs(Scope.EMBEDDINGS)
def delete_embedding(request: Request, name: TakenName, services: TheServices) -> None:
    """Delete an embedding."""
    with reaching_the_store():
        services.embeddings.delete(name)
    note(request, AuditAction.EMBEDDING_DELETED, name)


def _clip(services: Services, named: str | None) -> str:
    return (
        services.catalog.clip(named, "clip").id if named else text_clip(services.catalog.model(None), "clip")
    )


def _require_new(services: Services, name: str) -> None:
    with reaching_the_store():
        try:
            services.embeddings.get(name)
        except UnknownEmbeddingError:
            return
    raise NameTakenError(
        f"there is an embedding {name!r} already; delete it or choose another name", field="name"
    )


def _require_pictures(of: int, minus: int) -> None:
    if not of:
        raise InvalidRequestError("give pictures, or the ids of jobs that made some", field="pictures")
    if of + minus > MAX_PICTURES:
        raise InvalidRequestError(
            f"these are {of + minus} pictures; at most {MAX_PICTURES} make one embedding", field="pictures"
        )
