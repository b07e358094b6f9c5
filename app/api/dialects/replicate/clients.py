"""Replicate's own clients, and what they need that others do better without.

``replicate`` 1.x for Python and JavaScript makes objects with ``read()`` of ``https:`` and ``data:`` addresses alone.
Over plain HTTP it therefore gets the pictures themselves. The beta of 2.x does so too, but its newer ``use`` loads
``http:`` addresses, and only these. All of them call ``GET /v1/models``, where others expect OpenAI's list.
"""

import re
from base64 import b64encode

from fastapi import Request
from starlette.requests import HTTPConnection
from starlette.routing import Match
from starlette.types import Scope

from app.api.dialects.addresses import picture_addresses
from app.api.dialects.stored_pictures import stored_pictures
from app.api.intake.intake import IntakeRoute
from app.api.pictures.formats import Format, address_end, format_and_quality
from app.api.services import Services
from jobs.errors import LodestarError
from jobs.status.job import Job

_FIRST = re.compile(r"replicate-(python|javascript)/", re.IGNORECASE)
_ANY = re.compile(rf"{_FIRST.pattern}|(async)?replicate/python ", re.IGNORECASE)


def _agent(connection: HTTPConnection) -> str:
    return connection.headers.get("user-agent", "")


def is_replicates_own(connection: HTTPConnection) -> bool:
    """Whether a request comes from Replicate's client, by the name that it gives itself."""
    return bool(_ANY.match(_agent(connection)))


class OwnClientsRoute(IntakeRoute):
    """A route that exists for Replicate's own clients alone; for others the next one of its path does."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As for any route, if the client is one of those."""
        if scope["type"] == "http" and is_replicates_own(HTTPConnection(scope)):
            return super().matches(scope)
        return Match.NONE, {}


def reads_no_http(request: Request) -> bool:
    """Whether the client that has sent a request over plain HTTP makes nothing of ``http:`` addresses."""
    # The client for JavaScript does not name itself when it opens a stream.
    asks = request.query_params.get("output") == "data"
    return request.url.scheme == "http" and (asks or bool(_FIRST.match(_agent(request))))


def output_for(request: Request, services: Services, job: Job) -> list[str] | None:
    """The pictures of a job, if they are not at their ordinary addresses; else None.

    A client that reads no ``http:`` addresses gets ``data:`` ones.
    """
    if not job.images:
        return None
    if not reads_no_http(request):
        return _signed(request, services, job)
    wanted, quality = format_and_quality(job.picture_suffix)
    try:
        pictures = stored_pictures(services, job, wanted, quality)
    except LodestarError:  # the prediction is worth telling also while its files cannot be had
        return None
    return [f"data:{wanted.media_type};base64,{b64encode(picture).decode()}" for picture in pictures]


def _signed(request: Request, services: Services, job: Job) -> list[str] | None:
    if not services.settings.signed_urls:
        return None
    try:
        return picture_addresses(request, job, job.picture_suffix or address_end(Format.PNG))
    except LodestarError:
        return None
