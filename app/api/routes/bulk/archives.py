"""The pictures of a job, or of several, as one zip file."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from app.api.access.keys.needs import needs
from app.api.intake.intake import IntakeRoute
from app.api.pictures.archives import archive_of
from app.api.pictures.picture_refs import Ref, all_pictures, find_pictures
from app.api.problems.handlers import documented
from app.api.routes.jobs import JobId
from app.api.services import Services, TheServices
from jobs.callers.scopes import Scope
from jobs.wire import AtMost

router = APIRouter(prefix="/v1", tags=["images"], route_class=IntakeRoute)

MOST_PICTURES = 200  # named in one address
_ZIP = "application/zip"
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"content": {_ZIP: {"schema": {"type": "string", "format": "binary"}}}}
}
_ERRORS = ("unknown_job", "unknown_image", "job_not_finished", "queue_unavailable", "artifacts_unavailable")


@router.get(
    "/jobs/{job_id}/images.zip",
    summary="Get all pictures of a job",
    response_class=StreamingResponse,
    response_description="The pictures, each as `ID-INDEX.png`.",
    responses={**_ANSWER, **documented(*_ERRORS)},
)
@needs(Scope.IMAGES_READ)
def get_archive(job_id: JobId, services: TheServices) -> StreamingResponse:
    """The pictures of a finished job as a zip file."""
    return _answer(services, all_pictures(job_id, services.queue), job_id)


@router.get(
    "/images.zip",
    summary="Get pictures of several jobs",
    response_class=StreamingResponse,
    response_description="The pictures, each as `ID-INDEX.png`.",
    responses={**_ANSWER, **documented("invalid_request", *_ERRORS)},
)
@needs(Scope.IMAGES_READ)
def get_pictures(
    services: TheServices,
    picture: Annotated[
        Annotated[tuple[Ref, ...], AtMost(MOST_PICTURES)],
        Query(
            min_length=1,
            description="`ID/INDEX` for one picture, or the id of a job for all of its pictures; give it again for "
            "another one.",
            examples=[["01a203967d75b0c90aa928ee9db4/0"]],
        ),
    ],
) -> StreamingResponse:
    """Pictures of finished jobs as a zip file."""
    return _answer(services, find_pictures(picture, services.queue, "picture"), "pictures")


def _answer(services: Services, keys: Sequence[str], name: str) -> StreamingResponse:
    pieces = archive_of(services, tuple(dict.fromkeys(keys)))
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.zip"',
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(pieces, headers=headers, media_type=_ZIP)
