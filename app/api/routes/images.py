"""Pictures: generated while the client waits, and fetched from a job."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app.api.access.caller import TheCaller
from app.api.access.keys.needs import needs
from app.api.following.waiting import await_end, hang_up_policy, require_success
from app.api.intake.fields import query_parameters, read_request
from app.api.intake.form_schema import dotted
from app.api.intake.intake import IntakeRoute
from app.api.intake.submission import submit_job
from app.api.pictures.archives import archive_of
from app.api.pictures.finished import find_picture, first_picture, parse_name
from app.api.pictures.formats import Format, negotiate, prefers
from app.api.pictures.store_access import reaching_the_store
from app.api.problems.handlers import documented
from app.api.problems.validation import otherwise
from app.api.routes.jobs import IdempotencyKey, JobId
from app.api.services import Services, TheServices, services_of
from jobs.callers.scopes import Scope
from jobs.errors import UnknownImageError
from jobs.requests.request import GenerateRequest
from jobs.status.job import Job, StoredImage
from jobs.storage.job_files import input_key

router = APIRouter(prefix="/v1", tags=["images"], route_class=IntakeRoute)

BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}

PictureName = Annotated[
    str,
    Path(
        description="Number of the picture, from 0; `.png`, `.webp` or `.jpeg` chooses the format.",
        examples=["0", "0.webp"],
    ),
]
Quality = Annotated[
    int | None,
    Query(ge=0, le=100, description="Quality of WebP and JPEG. Default: no visible difference."),
]
IfNoneMatch = Annotated[str | None, Header(description="ETag of a copy that the client has.")]

_UNCHANGING = "private, max-age=31536000, immutable"
_JSON, _ZIP = "application/json", "application/zip"
_IMAGES = (*(picture.media_type for picture in Format), "image/*")
_FIELDS = {"schema": {"$ref": "#/components/schemas/GenerateRequest"}}
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@router.post(
    "/images",
    summary="Generate a picture",
    response_class=Response,
    response_description="The first picture; by `Accept`, all of them as a zip file, or the job.",
    responses={
        200: {
            "content": {
                **{picture.media_type: BINARY for picture in Format},
                _ZIP: BINARY,
                _JSON: {"schema": {"$ref": "#/components/schemas/Job"}},
            },
        },
        **documented(
            "invalid_request",
            "invalid_file",
            "unknown_job",
            "unknown_image",
            "job_not_finished",
            "unknown_model",
            "clip_mismatch",
            "no_image_tower",
            "content_blocked",
            "moderation_unavailable",
            "idempotency_conflict",
            "job_failed",
            "job_canceled",
            "stopping",
            "queue_full",
            "rate_limited",
            "quota_exceeded",
            "queue_unavailable",
            "artifacts_unavailable",
            "invalid_json",
            "invalid_form",
            "unsupported_media_type",
            "body_too_large",
        ),
    },
    openapi_extra={
        "parameters": query_parameters(),
        "requestBody": {
            "content": {_JSON: _FIELDS, **{kind: {"schema": dotted(GenerateRequest)} for kind in _FORMS}}
        },
    },
)
@needs(Scope.JOBS_WRITE, Scope.IMAGES_READ)
async def generate_images(
    request: Request,
    caller: TheCaller,
    idempotency_key: IdempotencyKey = None,
    accept: Annotated[
        str | None,
        Header(description="image/png, image/webp or image/jpeg, application/zip, or application/json."),
    ] = None,
) -> Response:
    """Generate a picture and answer with it: `curl -X POST 'localhost:8000/v1/images?prompt=red+apple' -o apple.png`.

    Takes the fields of `POST /v1/jobs`, in the query, as a form or as JSON. A hang-up cancels the job, unless the
    request has an `Idempotency-Key`, by which the client can come back.
    """
    wanted = await read_request(request)
    submission = await submit_job(request, wanted, idempotency_key, caller)
    job = await await_end(request, submission.job, on_hang_up=hang_up_policy(idempotency_key))
    headers = {"Vary": "Accept", "Link": _links(job)}
    if prefers(accept, _JSON, *_IMAGES, _ZIP):
        return Response(job.model_dump_json(), headers=headers, media_type=_JSON)
    require_success(job)
    services = services_of(request)
    if prefers(accept, _ZIP, *_IMAGES):
        headers["Content-Disposition"] = f'attachment; filename="{job.id}.zip"'
        archive = await run_in_threadpool(_archive, services, job.id)
        return StreamingResponse(archive, headers=headers, media_type=_ZIP)
    wanted_format = negotiate(accept)
    headers["Content-Location"] = job.images[0].url
    headers["Content-Disposition"] = f'inline; filename="{job.id}-{job.images[0].index}.{wanted_format}"'
    picture = await run_in_threadpool(first_picture, services, job, wanted_format)
    return Response(picture, headers=headers, media_type=wanted_format.media_type)


def _archive(services: Services, job_id: str) -> Iterator[bytes]:
    return archive_of(services, [stored.key for stored in services.queue.images(job_id)])


def _links(job: Job) -> str:
    """The job, and each of its pictures, by RFC 8288."""
    pictures = [f'<{image.url}>; rel="item"' for image in job.images]
    return ", ".join([f'<{job.urls["self"]}>; rel="describedby"', *pictures])


@router.get(
    "/jobs/{job_id}/images/{name}",
    summary="Get a picture",
    response_class=Response,
    response_description="The picture.",
    responses={
        200: {"content": {picture.media_type: BINARY for picture in Format}},
        304: {"description": "The client has this picture already."},
        **documented(
            "invalid_request",
            "unknown_job",
            "unknown_image",
            "job_not_finished",
            "queue_unavailable",
            "artifacts_unavailable",
        ),
    },
)
@needs(Scope.IMAGES_READ)
def get_image(
    job_id: JobId,
    name: PictureName,
    services: TheServices,
    accept: Annotated[
        str | None,
        Header(description="Chooses the format when the name has no suffix.", examples=["image/webp"]),
    ] = None,
    quality: Quality = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A picture of a job that has succeeded.

    PNG is the worker's file, with the request in its text chunks; the server converts it to the other formats.
    A picture never changes, so it may be cached for ever.
    """
    index, suffix = parse_name(name)
    stored = find_picture(services.queue, job_id, index)
    wanted = negotiate(accept) if suffix is None else suffix
    answer = answer_with(services, job_id, stored, wanted, quality, if_none_match, _UNCHANGING)
    if suffix is None:
        answer.headers["Vary"] = "Accept"
    return answer


def answer_with(
    services: Services,
    job_id: str,
    stored: StoredImage,
    wanted: Format,
    quality: int | None,
    if_none_match: str | None,
    caching: str,
) -> Response:
    """The answer with a picture, or 304 if the client has it.

    Raises:
        UnknownImageError: its file is gone.
        ArtifactsUnavailableError: the store cannot be reached.
    """
    with reaching_the_store():
        png = services.artifacts.get(stored.key)
    picture = services.delivery.prepare(png, wanted, quality)
    headers = {
        "ETag": picture.etag,
        "Cache-Control": caching,
        "Content-Disposition": f'inline; filename="{job_id}-{stored.index}.{wanted}"',
        "X-Content-Type-Options": "nosniff",
    }
    if _matches(if_none_match, picture.etag):
        return Response(status_code=304, headers=headers)
    return Response(picture.file(), headers=headers, media_type=wanted.media_type)


@router.get(
    "/jobs/{job_id}/inputs/{picture_id}",
    summary="Get a picture that a job was given",
    response_class=Response,
    response_description="The picture.",
    responses={
        200: {"content": {Format.PNG.media_type: BINARY}},
        **documented("unknown_job", "unknown_image", "queue_unavailable", "artifacts_unavailable"),
    },
)
@needs(Scope.IMAGES_READ)
def get_input_picture(
    job_id: JobId,
    picture_id: Annotated[
        Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")],
        otherwise(lambda name: UnknownImageError(f"{name!r} names no picture: sha256: and 64 digits do")),
        Path(description="Its name in the job's `request`.", examples=["sha256:" + "3f" * 32]),
    ],
    services: TheServices,
) -> Response:
    """A picture that a job's request names, as the server keeps it: a PNG file."""
    services.queue.get(job_id)
    with reaching_the_store():
        png = services.artifacts.get(input_key(job_id, picture_id.removeprefix("sha256:")))
    return Response(png, headers={"Cache-Control": _UNCHANGING}, media_type=Format.PNG.media_type)


def _matches(if_none_match: str | None, etag: str) -> bool:
    known = [entry.strip().removeprefix("W/") for entry in (if_none_match or "").split(",")]
    return etag.removeprefix("W/") in known or "*" in known
