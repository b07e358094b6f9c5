"""Replicate's files, as the ``replicate`` client calls them: our uploads in another form."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile

from app.api.access.caller import TheCaller
from app.api.access.keys.needs import needs
from app.api.dialects.addresses import absolute
from app.api.intake.bodies import MULTIPART, UnsupportedMediaTypeError, announced
from app.api.intake.forms import read_multipart
from app.api.intake.intake import IntakeRoute
from app.api.pictures.kept_uploads import keep_uploads
from app.api.pictures.uploads import Received
from app.api.routes.uploads import UploadId, delete_upload, get_upload, list_uploads
from app.api.services import TheServices
from jobs.callers.scopes import Scope
from jobs.errors import InvalidRequestError
from jobs.requests.uploads import Upload

router = APIRouter(prefix="/v1/files", include_in_schema=False, route_class=IntakeRoute)

_FILE, _TEXTS = "content", frozenset({"filename", "type", "metadata"})


@router.post("", status_code=201)
@needs(Scope.JOBS_WRITE)
async def create(request: Request, caller: TheCaller) -> dict[str, Any]:
    """Keep a picture; the file's address can be an input of predictions."""
    if announced(request).get_content_type() != MULTIPART:
        raise UnsupportedMediaTypeError(f"send the file as {_FILE} in a form: multipart/form-data")
    # The client for JavaScript sends the metadata as a file, too.
    form = await read_multipart(request, len(_TEXTS), max_files=1 + len(_TEXTS))
    try:
        for name, value in form.multi_items():
            if name not in {_FILE} | _TEXTS or (name == _FILE and not isinstance(value, UploadFile)):
                raise InvalidRequestError(
                    f"send the file as {_FILE}, beside {', '.join(sorted(_TEXTS))}", field=name
                )
        file = form.get(_FILE)
        if not isinstance(file, UploadFile):
            raise InvalidRequestError("there is no file", field=_FILE)
        (upload,) = await keep_uploads(request, caller, [Received(file, _FILE)])
    finally:
        await form.close()
    return _file(request, upload)


@router.get("")
@needs(Scope.IMAGES_READ)
def list_files(request: Request, services: TheServices, caller: TheCaller) -> dict[str, Any]:
    """All files of the caller, on one page."""
    uploads = list_uploads(services, caller).data
    return {"previous": None, "next": None, "results": [_file(request, upload) for upload in uploads]}


@router.get("/{file_id}")
@needs(Scope.IMAGES_READ)
def get_file(file_id: UploadId, request: Request, services: TheServices, caller: TheCaller) -> dict[str, Any]:
    """A file of the caller."""
    return _file(request, get_upload(file_id, services, caller))


@router.delete("/{file_id}", status_code=204)
@needs(Scope.JOBS_WRITE)
def delete_file(file_id: UploadId, services: TheServices, caller: TheCaller) -> None:
    """Delete a file. Predictions that name it keep copies of their own."""
    delete_upload(file_id, services, caller)


def _file(request: Request, upload: Upload) -> dict[str, Any]:
    digest = upload.id.removeprefix("sha256:")
    return {
        "id": upload.id,
        "name": upload.name,
        "content_type": "image/png",
        "size": upload.bytes,
        "etag": digest,
        "checksums": {"sha256": digest},
        "metadata": {},
        "created_at": upload.created_at.isoformat().replace("+00:00", "Z"),
        "expires_at": upload.expires_at.isoformat().replace("+00:00", "Z"),
        "urls": {"get": absolute(request, f"/v1/files/{upload.id}")},
    }
