"""Pictures that callers upload on their own, to name them in later requests."""

from collections.abc import Sequence
from functools import partial

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.pictures.store_access import reaching_the_store
from app.api.pictures.uploads import Received, check_together, unpacked
from app.api.services import Services, services_of
from jobs.errors import LodestarError, UnknownUploadError, UploadsFullError
from jobs.pictures.reader import Kept, digest_of, read_picture, to_png
from jobs.requests.uploads import Upload
from jobs.storage.uploads import Png

MAX_NAME_CHARS = 100


async def keep_uploads(request: Request, caller: str, files: Sequence[Received]) -> tuple[Upload, ...]:
    """Keep pictures, whole and with their transparency; all of them or none.

    Raises:
        InvalidFileError: one is no picture of an allowed format or is damaged, or they are too large.
        UploadsFullError: the caller's uploads reach their limit.
        ArtifactsUnavailableError: they cannot be stored.
        JobCanceledError, StoppingError: as for ``unpacked``.
    """
    services = services_of(request)
    await unpacked(request, partial(check_together, files))
    uploads: list[Upload] = []
    new: list[Png] = []
    try:
        for file in files:
            # One at a time: what is unpacked or encoded of a request never takes more memory than one picture.
            png = await unpacked(request, partial(_normalised, file))
            upload, is_new = await run_in_threadpool(_keep, services, caller, png, file)
            uploads.append(upload)
            new += [png] * is_new
    except LodestarError:
        await run_in_threadpool(_take_back, services, caller, new)
        raise
    return tuple(uploads)


def _normalised(file: Received) -> Png:
    picture = read_picture(file.file.file, file.name, field=file.field, kept=Kept.WITH_ALPHA)
    data = to_png(picture)
    return Png(data, digest_of(data), *picture.size)


def _keep(services: Services, caller: str, png: Png, file: Received) -> tuple[Upload, bool]:
    try:
        with reaching_the_store():
            return services.uploads.keep(caller, png, (file.file.filename or "")[:MAX_NAME_CHARS])
    except UploadsFullError as error:
        raise UploadsFullError(error.message, field=file.field) from error


def _take_back(services: Services, caller: str, new: Sequence[Png]) -> None:
    for png in new:
        try:
            services.uploads.delete(caller, png.digest)
        except UnknownUploadError:
            continue
