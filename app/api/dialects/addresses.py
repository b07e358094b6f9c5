"""Absolute addresses of this server, for links in answers."""

from fastapi import Request

from app.api.access.caller import identity_of
from app.api.pictures.finished import signed_addresses
from app.api.services import services_of
from jobs.callers.scopes import Scope
from jobs.status import links
from jobs.status.job import Job


def base_of(request: Request) -> str:
    """The address of this server, by the name, the scheme and the prefix under which the client reached it.

    No slash at its end. The name is one that ``HostGuard`` lets pass.
    """
    return str(request.base_url).rstrip("/")


def absolute(request: Request, path: str) -> str:
    """The address of a path of this server, which is given without the prefix."""
    return base_of(request) + path


def picture_addresses(request: Request, job: Job, end: str) -> list[str]:
    """The whole addresses of a job's pictures; such that need no key, if the operator wants that.

    Args:
        request: of the client. If it may not get pictures, it gets no such addresses.
        job: that has ended.
        end: of ``address_end``.

    Raises:
        UnknownJobError: the job was deleted.
        ArtifactsUnavailableError: the store cannot sign.
    """
    services = services_of(request)
    if services.settings.signed_urls and Scope.IMAGES_READ in identity_of(request).scopes:
        found = signed_addresses(services, job, end)
    else:
        found = [links.image(job.id, image.index) + end for image in job.images]
    return [absolute(request, each) if each.startswith("/") else each for each in found]
