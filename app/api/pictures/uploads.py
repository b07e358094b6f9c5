"""Pictures and files that clients send: checked, bounded, and kept beside their job."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from app.api.pictures.store_access import forgetting_files, reaching_the_store
from app.api.services import Services, services_of
from jobs.errors import InvalidFileError, JobCanceledError, StoppingError
from jobs.pictures.reader import MAX_PIXELS, check_header, read_picture, to_png
from jobs.storage.job_files import BroughtFiles, upload_key

MAX_PICTURES = 256
MAX_PIXELS_TOGETHER = 32 * MAX_PIXELS
MAX_FILE_BYTES = 8 << 20  # an embedding takes some kilobytes

Made = TypeVar("Made")


@dataclass(frozen=True)
class Received:
    """A file as it came.

    Attributes:
        file: its content.
        field: that it came in; empty for a body.
    """

    file: UploadFile
    field: str

    @property
    def name(self) -> str:
        """Its name, for an error."""
        return repr((self.file.filename or "the upload")[:100])


async def keep_pictures(
    request: Request, job_id: str, uploads: Sequence[Received]
) -> tuple[tuple[str, ...], BroughtFiles]:
    """Keep the pictures of a job that is about to be submitted, as PNG files of ours; their keys.

    They are small and hold only pixels. They are deleted at the job's end.

    Raises:
        InvalidFileError: one is no picture of an allowed format or is damaged, or they are too large.
        ArtifactsUnavailableError: they cannot be stored.
        JobCanceledError, StoppingError: as for ``unpacked``.
    """
    if not uploads:
        return (), BroughtFiles()
    await unpacked(request, partial(check_together, uploads))
    return await keep_made(request, job_id, [partial(_normalised, upload) for upload in uploads])


async def keep_made(
    request: Request, job_id: str, pictures: Sequence[Callable[[], bytes]]
) -> tuple[tuple[str, ...], BroughtFiles]:
    """Keep PNG files of ours for a job that is about to be submitted, each made when its turn comes; their keys.

    Raises:
        ArtifactsUnavailableError: they cannot be stored.
        JobCanceledError, StoppingError: as for ``unpacked``.
    """
    services = services_of(request)
    await run_in_threadpool(services.queue.expect_files, job_id)
    keys, stored_bytes = [], 0
    async with forgetting_files(services.artifacts, job_id):
        for number, made in enumerate(pictures):
            # One at a time: what is unpacked or encoded of a request never takes more memory than one picture.
            png = await unpacked(request, made)
            keys.append(upload_key(job_id, number, ".png"))
            stored_bytes += len(png)
            await run_in_threadpool(_put, services, keys[-1], png)
    return tuple(keys), BroughtFiles(uploads_bytes=stored_bytes)


async def keep_file(request: Request, job_id: str, file: UploadFile, suffix: str) -> tuple[str, BroughtFiles]:
    """Keep a file without checking its content; its key.

    Raises:
        InvalidFileError: it is too large.
        ArtifactsUnavailableError: it cannot be stored.
    """
    services = services_of(request)
    key, length = upload_key(job_id, 0, suffix), file.size or 0
    if length > MAX_FILE_BYTES:
        raise InvalidFileError(
            f"{Received(file, 'file').name} has {length} bytes; at most {MAX_FILE_BYTES >> 20} MiB are read",
            field="file",
        )
    await run_in_threadpool(services.queue.expect_files, job_id)
    async with forgetting_files(services.artifacts, job_id):
        await run_in_threadpool(lambda: _put(services, key, file.file.read()))
    return key, BroughtFiles(uploads_bytes=length)


async def unpacked(request: Request, work: Callable[[], Made]) -> Made:
    """Run ``work``, which decodes a picture, on a thread of the decoder's; its result.

    Raises:
        JobCanceledError: the client has hung up meanwhile.
        StoppingError: the server is about to stop.
    """
    services = services_of(request)

    async def still_wanted() -> None:
        if services.stopping.is_set():
            raise StoppingError("the server is about to stop, and has not read the pictures; send them again")
        if await request.is_disconnected():
            raise JobCanceledError("the client has hung up")

    return await services.decoder.run(work, still_wanted)


def check_together(uploads: Sequence[Received]) -> None:
    """Check the headers of pictures, and their size together.

    Raises:
        InvalidFileError: one is no picture of an allowed format, or they are too large.
    """
    together = 0
    for upload in uploads:
        header = check_header(upload.file.file, upload.name, field=upload.field)
        together += header.width * header.height
        if together > MAX_PIXELS_TOGETHER:
            raise InvalidFileError(
                f"these pictures are too large together: at most {MAX_PIXELS_TOGETHER // 10**6} megapixels are read "
                "in one request",
                field=upload.field,
            )


def _normalised(upload: Received) -> bytes:
    return to_png(read_picture(upload.file.file, upload.name, field=upload.field))


def _put(services: Services, key: str, data: bytes) -> None:
    with reaching_the_store():
        services.artifacts.put(key, data)
