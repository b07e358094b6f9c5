"""Where a picture that a request names comes from: the request itself, an upload, a job that keeps or has made it."""

import io
from dataclasses import dataclass

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.pictures.picture_refs import find_picture
from app.api.pictures.store_access import reaching_the_store
from app.api.services import Services, services_of
from jobs.errors import InvalidFileError, InvalidRequestError, UnknownImageError
from jobs.pictures.headers import read_header
from jobs.pictures.reader import Kept, digest_of
from jobs.requests.pictures import OfJob, Picture
from jobs.storage.job_files import input_key


@dataclass(frozen=True)
class Source:
    """A picture's file.

    Attributes:
        data: the file.
        name: of the file, for an error.
        field: of the request that named it, likewise.
        is_ours: whether it is a stored picture, with nothing but pixels in it.
    """

    data: bytes
    name: str
    field: str
    is_ours: bool = False

    def is_kept_by(self, kind: Kept) -> bool:
        """Whether it is a stored picture that is kept as it is."""
        return self.is_ours and kind.keeps(read_header(io.BytesIO(self.data)))


async def find_source(request: Request, picture: Picture, field: str) -> Source:
    """The file of a picture.

    Args:
        request: of the client.
        picture: as the request names it.
        field: of the request, for errors.

    Raises:
        InvalidFileError: nobody keeps it any more.
        InvalidRequestError: addresses are not read.
        UnknownJobError, JobNotFinishedError, UnknownImageError: as for ``find_picture``.
        ArtifactsUnavailableError: the store cannot be reached.
    """
    services = services_of(request)
    if digest := picture.digest:
        return Source(
            await run_in_threadpool(_stored, services, digest, field),
            "the picture",
            field,
            is_ours=True,
        )
    if of_job := picture.of_job:
        return Source(await run_in_threadpool(_made, services, of_job, field), "the job's picture", field)
    if picture.url:
        raise InvalidRequestError(
            "pictures are not fetched from addresses; upload it, or send it in base64", field=field
        )
    return Source(picture.data, "the picture", field)


def _stored(services: Services, digest: str, field: str) -> bytes:
    """A picture that a job keeps, whoever sent it."""
    for job_id in services.queue.holders(digest):
        with reaching_the_store():
            try:
                png = services.artifacts.get(input_key(job_id, digest))
            except UnknownImageError:
                continue  # deleted meanwhile
        if digest_of(png) == digest:
            return png
    raise InvalidFileError("no kept job has this picture; send it again", field=field)


def _made(services: Services, of_job: OfJob, field: str) -> bytes:
    key = find_picture(of_job, services.queue, field)
    with reaching_the_store():
        return services.artifacts.get(key)
