"""The pictures that jobs have made, as their addresses name them."""

import re

from app.api.pictures.formats import SUFFIXES, Format, address_end
from app.api.pictures.store_access import reaching_the_store
from app.api.services import Services
from jobs.errors import JobNotFinishedError, UnknownImageError
from jobs.queue.queue import JobQueue
from jobs.status.job import Job, StoredImage
from jobs.storage.job_files import map_key

_NAME = re.compile(r"([0-9]{1,4})(?:\.([a-z]+))?")


def parse_name(name: str) -> tuple[int, Format | None]:
    """The number of a picture and the format that its suffix names, if it has one.

    Raises:
        UnknownImageError: it is no such name.
    """
    found = _NAME.fullmatch(name)
    if found is None or (found[2] is not None and found[2] not in SUFFIXES):
        raise UnknownImageError(
            f"{name!r} is not the number of a picture, with .png, .webp or .jpeg if any suffix"
        )
    return int(found[1]), SUFFIXES[found[2]] if found[2] else None


def find_picture(queue: JobQueue, job_id: str, index: int) -> StoredImage:
    """A picture of a job.

    Raises:
        UnknownJobError: there is no such job.
        JobNotFinishedError: it has not succeeded yet.
        UnknownImageError: it has no picture of this number.
    """
    job = queue.get(job_id)
    for stored in queue.images(job_id, rejected=True):
        if stored.index == index:
            return stored
    if not job.status.is_terminal:
        raise JobNotFinishedError(
            f"job {job_id} is {job.status}; its pictures can be had once it has succeeded"
        )
    raise UnknownImageError(
        f"job {job_id} has {job.status} with {len(job.images)} pictures; there is no number {index}"
    )


def find_map(queue: JobQueue, job_id: str, number: int) -> str:
    """Key of the map that a control of a job has read.

    Raises:
        UnknownJobError: there is no such job.
        JobNotFinishedError: it has not succeeded yet.
        UnknownImageError: it has no control of this number, or has read no map.
    """
    job, images = queue.get(job_id), queue.images(job_id)
    if images and number < len(job.maps):
        return map_key(images[0].key.rpartition("/")[0], number)
    if not job.status.is_terminal:
        raise JobNotFinishedError(f"job {job_id} is {job.status}; its maps can be had once it has succeeded")
    raise UnknownImageError(
        f"job {job_id} has {job.status} with {len(job.maps)} maps; there is no number {number}"
    )


def signed_addresses(services: Services, job: Job, end: str = "") -> list[str]:
    """Addresses of a job's pictures that need no key: paths without the prefix, or at the store.

    Args:
        services: of whoever may get the pictures.
        job: that has succeeded; another has none.
        end: of ``address_end``; PNG if empty.

    Raises:
        UnknownJobError: it was deleted.
        ArtifactsUnavailableError: the store cannot sign.
    """
    if not job.images:
        return []
    kept = {image.index: image for image in services.queue.images(job.id)}
    with reaching_the_store():
        return [
            services.links.link(job.id, kept[image.index], end or address_end(Format.PNG)).address
            for image in job.images
        ]


def first_picture(services: Services, job: Job, wanted: Format) -> bytes:
    """The first picture of a job that has succeeded."""
    stored = find_picture(services.queue, job.id, job.images[0].index)
    with reaching_the_store():
        png = services.artifacts.get(stored.key)
    return services.delivery.file(png, wanted)
