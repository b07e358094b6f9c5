"""The pictures of a job."""

import re
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Header, Path, Response

from app.errors import documented
from app.formats import SUFFIXES, Format, encode, negotiate
from app.routes.jobs import JobId
from app.services import TheArtifacts, TheQueue
from app.store_access import reaching_the_store
from jobs.errors import JobNotFinishedError, UnknownImageError
from jobs.queue import JobQueue
from jobs.state import StoredImage

router = APIRouter(prefix="/v1/jobs", tags=["images"])

_NAME = re.compile(r"([0-9]{1,4})(?:\.([a-z]+))?")
_FORMATS = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/{job_id}/images/{name}",
    summary="Get a picture",
    response_class=Response,
    response_description="The picture.",
    responses={
        200: {"content": {picture.media_type: _FORMATS for picture in Format}},
        304: {"description": "The client has this picture already."},
        **documented(
            "unknown_job", "unknown_image", "job_not_finished", "queue_unavailable", "artifacts_unavailable"
        ),
    },
)
def get_image(
    job_id: JobId,
    name: Annotated[
        str,
        Path(
            description="Number of the picture, from 0; `.png`, `.webp` or `.jpeg` chooses the format.",
            examples=["0", "0.webp"],
        ),
    ],
    queue: TheQueue,
    artifacts: TheArtifacts,
    accept: Annotated[
        str | None,
        Header(description="Chooses the format when the name has no suffix.", examples=["image/webp"]),
    ] = None,
    if_none_match: Annotated[str | None, Header(description="ETag of a copy that the client has.")] = None,
) -> Response:
    """A picture of a job that has succeeded.

    PNG is the file that the worker stored, with the request in its text chunks; the others are made from it.
    A picture never changes, so it may be cached for ever.
    """
    index, suffix = _parse(name)
    stored = _find(queue, job_id, index)
    wanted = negotiate(accept) if suffix is None else suffix
    with reaching_the_store():
        png = artifacts.get(stored.key)
    picture = encode(png, wanted)
    headers = {
        "ETag": f'"{sha256(picture).hexdigest()[:32]}"',
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": f'inline; filename="{job_id}-{index}.{wanted}"',
        "X-Content-Type-Options": "nosniff",
    }
    if suffix is None:
        headers["Vary"] = "Accept"
    if _matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(picture, headers=headers, media_type=wanted.media_type)


def _parse(name: str) -> tuple[int, Format | None]:
    found = _NAME.fullmatch(name)
    if found is None or (found[2] is not None and found[2] not in SUFFIXES):
        raise UnknownImageError(
            f"{name!r} is not the number of a picture, with .png, .webp or .jpeg if any suffix"
        )
    return int(found[1]), SUFFIXES[found[2]] if found[2] else None


def _find(queue: JobQueue, job_id: str, index: int) -> StoredImage:
    job = queue.get(job_id)
    for stored in queue.images(job_id):
        if stored.index == index:
            return stored
    if not job.status.is_terminal:
        raise JobNotFinishedError(
            f"job {job_id} is {job.status}; its pictures can be had once it has succeeded"
        )
    raise UnknownImageError(
        f"job {job_id} has {job.status} with {len(job.images)} pictures; there is no number {index}"
    )


def _matches(if_none_match: str | None, etag: str) -> bool:
    known = [entry.strip().removeprefix("W/") for entry in (if_none_match or "").split(",")]
    return etag in known or "*" in known
