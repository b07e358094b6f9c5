"""Where a picture that a request names comes from: the request itself, an upload, a job that keeps or has made it."""

import io
from contextlib import suppress
from dataclasses import dataclass

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.pictures.picture_refs import find_picture
from app.api.pictures.store_access import reaching_the_store
from app.api.services import Services, services_of
from jobs.errors import InvalidFileError, InvalidRequestError, UnknownImageError, UnknownUploadError
from jobs.pictures.headers import read_header
from jobs.pictures.reader import Kept, digest_of
from jobs.requests.pictures import OfJob, Picture, named_by_path
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


async def find_source(request: Request, picture: Picture, caller: str, field: str, until_s: float) -> Source:
    """The file of a picture.

    Args:
        request: of the client.
        picture: as the request names it.
        caller: whose uploads it may name.
        field: of the request, for errors.
        until_s: time of the loop's clock at which a fetched picture must be there.

    Raises:
        InvalidFileError: nobody keeps it any more, or it cannot be fetched.
        InvalidRequestError: addresses are not read.
        UnknownJobError, JobNotFinishedError, UnknownImageError: as for ``find_picture``.
        ArtifactsUnavailableError: the store cannot be reached.
    """
    services = services_of(request)
    if digest := picture.digest:
        png = await run_in_threadpool(_stored, services, digest, caller, field)
        return Source(png, "the picture", field, is_ours=True)
    if of_job := picture.of_job:
        png = await run_in_threadpool(_made, services, of_job, field)
        return Source(png, "the job's picture", field)
    if own := _own(request, picture):
        return await find_source(request, own, caller, field, until_s)
    if picture.url:
        return Source(await _fetched(services, picture.url, until_s, field), "the picture", field)
    return Source(picture.data, "the picture", field)


async def _fetched(services: Services, url: str, until_s: float, field: str) -> bytes:
    if services.fetcher is None:
        raise InvalidRequestError(
            "pictures are not fetched from other servers; upload it, or send it in base64", field=field
        )
    return await services.fetcher.fetch(url, field, until_s)


def _own(request: Request, picture: Picture) -> Picture | None:
    """The picture that an address of this server itself leads to, by the name under which the client knows it."""
    own = str(request.base_url)
    url = picture.url or ""
    named = named_by_path("/" + url.removeprefix(own).partition("?")[0]) if url.startswith(own) else None
    return None if named is None else type(picture)(named)


def _stored(services: Services, digest: str, caller: str, field: str) -> bytes:
    """A picture that the caller has uploaded, or that a job keeps, whoever sent it."""
    with suppress(UnknownUploadError), reaching_the_store():
        png = services.uploads.data(caller, digest)
        if digest_of(png) == digest:
            return png
    for job_id in services.queue.holders(digest):
        with reaching_the_store():
            try:
                png = services.artifacts.get(input_key(job_id, digest))
            except UnknownImageError:
                continue  # deleted meanwhile
        if digest_of(png) == digest:
            return png
    raise InvalidFileError(
        "you have no such upload, and no kept job has this picture; send it again", field=field
    )


def _made(services: Services, of_job: OfJob, field: str) -> bytes:
    key = find_picture(of_job, services.queue, field)
    with reaching_the_store():
        return services.artifacts.get(key)
