"""Upload pictures, to name them in later requests."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, BinaryIO, cast

from fastapi import APIRouter, Path, Request, Response, UploadFile
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app.api.access.caller import TheCaller
from app.api.access.keys.needs import needs
from app.api.intake.bodies import MULTIPART, UnsupportedMediaTypeError, announced
from app.api.intake.forms import read_multipart
from app.api.intake.intake import OwnRoute
from app.api.pictures.kept_uploads import keep_uploads
from app.api.pictures.store_access import reaching_the_store
from app.api.pictures.uploads import Received
from app.api.problems.handlers import documented
from app.api.problems.validation import otherwise
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.errors import InvalidRequestError, UnknownUploadError
from jobs.pictures.parts import FORMS
from jobs.requests.uploads import Upload, Uploads

router = APIRouter(prefix="/v1/uploads", tags=["images"], route_class=OwnRoute)

MAX_FILES = 64
_FIELD = "files"
_HELD_BYTES = 1 << 20  # of a body, before it goes to disk
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "type": "object",
    "required": [_FIELD],
    "additionalProperties": False,
    "properties": {
        _FIELD: {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "minItems": 1,
            "maxItems": MAX_FILES,
            "description": "PNG, JPEG or WebP files.",
        }
    },
}

UploadId = Annotated[
    str,
    Field(pattern="^sha256:[0-9a-f]{64}$"),
    otherwise(
        lambda upload_id: UnknownUploadError(
            f"you have no upload {upload_id!r}; ids are sha256: and 64 digits"
        )
    ),
    Path(description="Id of the upload.", examples=["sha256:" + "3f" * 32]),
]


@router.post(
    "",
    status_code=201,
    summary="Upload pictures",
    response_description="The pictures are kept, in the order in which they came.",
    responses=documented(
        "invalid_request",
        "invalid_file",
        "uploads_full",
        "queue_unavailable",
        "artifacts_unavailable",
        "stopping",
        "invalid_form",
        "unsupported_media_type",
        "body_too_large",
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                MULTIPART: {"schema": _FORM},
                **{f"image/{form.lower()}": _BINARY for form in FORMS},
            },
        }
    },
)
@needs(Scope.JOBS_WRITE)
async def upload_pictures(request: Request, caller: TheCaller) -> Uploads:
    """Keep pictures for a day, to name them in requests: `"image": "sha256:..."`.

    Send one as the body, or several as the field `files` of a form. A picture is stored as a PNG file: upright, in
    sRGB, of 8 bits, every pixel, with its transparency. Its id is this file's digest, so the same picture has the same
    id; to send it again begins its time anew. Only its caller can see, name and delete it.
    """
    async with _received(request) as files:
        return Uploads(data=await keep_uploads(request, caller, files))


@router.get("", summary="List uploads", responses=documented("queue_unavailable"))
@needs(Scope.IMAGES_READ)
def list_uploads(services: TheServices, caller: TheCaller) -> Uploads:
    """The caller's uploads, those that expire last first."""
    return Uploads(data=services.uploads.list(caller))


@router.get(
    "/{upload_id}", summary="Get an upload", responses=documented("unknown_upload", "queue_unavailable")
)
@needs(Scope.IMAGES_READ)
def get_upload(upload_id: UploadId, services: TheServices, caller: TheCaller) -> Upload:
    """The size of an upload, and when it expires."""
    return services.uploads.get(caller, _digest(upload_id))


@router.get(
    "/{upload_id}/content",
    summary="Get an upload's picture",
    response_class=Response,
    response_description="The picture.",
    responses={
        200: {"content": {"image/png": _BINARY}},
        **documented("unknown_upload", "queue_unavailable", "artifacts_unavailable"),
    },
)
@needs(Scope.IMAGES_READ)
def get_upload_content(upload_id: UploadId, services: TheServices, caller: TheCaller) -> Response:
    """The stored PNG file."""
    with reaching_the_store():
        png = services.uploads.data(caller, _digest(upload_id))
    return Response(png, media_type="image/png")


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="Delete an upload",
    response_description="The upload is gone.",
    responses=documented("unknown_upload", "queue_unavailable"),
)
@needs(Scope.JOBS_WRITE)
def delete_upload(upload_id: UploadId, services: TheServices, caller: TheCaller) -> None:
    """Delete an upload. Jobs that name it keep copies of their own."""
    services.uploads.delete(caller, _digest(upload_id))


def _digest(upload_id: str) -> str:
    return upload_id.removeprefix("sha256:")


@asynccontextmanager
async def _received(request: Request) -> AsyncIterator[list[Received]]:
    """The files of a request, on disk if they are large; closed at the end."""
    kind = announced(request).get_content_type()
    if kind == MULTIPART:
        try:
            form = await read_multipart(request, MAX_FILES, MAX_FILES)
        except InvalidRequestError as error:
            error.field = error.field or _FIELD
            raise
        try:
            yield _files(form.multi_items())
        finally:
            await form.close()
    elif kind.startswith("image/"):
        with tempfile.SpooledTemporaryFile(_HELD_BYTES) as file:
            async for part in request.stream():
                await run_in_threadpool(file.write, part)
            yield [Received(UploadFile(cast("BinaryIO", file), filename=""), "")]
    else:
        raise UnsupportedMediaTypeError(
            "send a picture as the body, with a Content-Type such as image/png; or several in a form, "
            f"multipart/form-data, as {_FIELD}"
        )


def _files(items: list[tuple[str, Any]]) -> list[Received]:
    for name, value in items:
        if name != _FIELD:
            raise InvalidRequestError(
                f"there is no field of this name; send pictures as {_FIELD}", field=name
            )
        if isinstance(value, str):
            raise InvalidRequestError("a picture is a file, not a text", field=name)
    if not 1 <= len(items) <= MAX_FILES:
        raise InvalidRequestError(f"give 1 to {MAX_FILES} pictures", field=_FIELD)
    return [Received(value, name) for name, value in items]
