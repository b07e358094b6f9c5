"""The pictures of a job, for dialects with pictures in their answers."""

from collections.abc import Iterable

from app.api.pictures.finished import find_map
from app.api.pictures.formats import Format
from app.api.pictures.store_access import reaching_the_store
from app.api.services import Services
from jobs.status.job import Job


def stored_pictures(
    services: Services, job: Job, wanted: Format = Format.PNG, quality: int | None = None
) -> list[bytes]:
    """The files of a job that has succeeded, as clients get them.

    Raises:
        UnknownJobError, UnknownImageError: they were deleted.
        ArtifactsUnavailableError: their store is away.
    """
    with reaching_the_store():
        pngs = [services.artifacts.get(stored.key) for stored in services.queue.images(job.id)]
    return [services.delivery.file(png, wanted, quality) for png in pngs]


def stored_maps(services: Services, job: Job, numbers: Iterable[int]) -> list[bytes]:
    """The maps that some controls of a job have read; none unless it has succeeded. Errors as above."""
    with reaching_the_store():
        return [
            services.artifacts.get(find_map(services.queue, job.id, number))
            for number in numbers
            if number < len(job.maps)
        ]
