"""The pictures of a request's objectives: read at the submission, kept beside the job, named by their digests."""

from functools import partial

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.api.pictures.store_access import reaching_the_store
from app.api.pictures.uploads import unpacked
from app.api.services import Services, services_of
from jobs.errors import InvalidFileError, UnknownImageError
from jobs.pictures.reader import digest_of, read_picture, to_png
from jobs.requests.objectives import ImageObjective, Objective
from jobs.requests.request import ResolvedRequest
from jobs.storage.job_files import NO_FILES, BroughtFiles, input_key


def names_pictures(resolved: ResolvedRequest) -> bool:
    """Whether a request has any."""
    objectives = () if resolved.guidance is None else resolved.guidance.objectives
    return any(isinstance(objective, ImageObjective) for objective in objectives)


async def keep_objective_pictures(
    request: Request, job_id: str, resolved: ResolvedRequest
) -> tuple[ResolvedRequest, BroughtFiles]:
    """The request with digests in place of pictures, and the files stored for it.

    Raises:
        InvalidFileError: one is no picture that is read, or no kept job has it any more.
        ArtifactsUnavailableError: they cannot be stored.
        JobCanceledError, StoppingError: as for ``unpacked``.
    """
    guidance = resolved.guidance
    if guidance is None or not names_pictures(resolved):
        return resolved, NO_FILES
    services = services_of(request)
    await run_in_threadpool(services.queue.expect_files, job_id)
    objectives: list[Objective] = []
    stored_bytes: dict[str, int] = {}
    for index, objective in enumerate(guidance.objectives):
        if isinstance(objective, ImageObjective):
            png = await _picture(request, objective, f"guidance.objectives.{index}.image")
            digest = digest_of(png)
            if digest not in stored_bytes:
                await run_in_threadpool(_put, services, input_key(job_id, digest), png)
                stored_bytes[digest] = len(png)
            objective = objective.kept_as(digest)
        objectives.append(objective)
    kept = guidance.model_copy(update={"objectives": tuple(objectives)})
    files = BroughtFiles(inputs=tuple(stored_bytes), inputs_bytes=sum(stored_bytes.values()))
    return resolved.model_copy(update={"guidance": kept}), files


async def _picture(request: Request, objective: ImageObjective, field: str) -> bytes:
    """The picture as a PNG file of ours."""
    if objective.digest is not None:
        return await run_in_threadpool(_kept, services_of(request), objective.digest, field)
    return await unpacked(request, partial(_read, objective, field))


def _read(objective: ImageObjective, field: str) -> bytes:
    return to_png(read_picture(objective.data, "the picture", field=field))


def _kept(services: Services, digest: str, field: str) -> bytes:
    """A picture that another job keeps, whoever sent it."""
    for job_id in services.queue.holders(digest):
        with reaching_the_store():
            try:
                png = services.artifacts.get(input_key(job_id, digest))
            except UnknownImageError:
                continue  # deleted meanwhile
        if digest_of(png) == digest:
            return png
    raise InvalidFileError("no kept job has this picture; send it again", field=field)


def _put(services: Services, key: str, png: bytes) -> None:
    with reaching_the_store():
        services.artifacts.put(key, png)
