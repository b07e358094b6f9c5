"""Addresses of pictures that need no key: made by whoever may get the picture, and served to everyone."""

import time
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.api.access.keys.needs import needs, public
from app.api.intake.intake import IntakeRoute
from app.api.pictures.finished import find_picture, parse_name
from app.api.pictures.formats import Format, address_end
from app.api.pictures.signed_links import SIGNATURE_CHARS, reached
from app.api.pictures.store_access import reaching_the_store
from app.api.problems.handlers import documented
from app.api.routes.images import BINARY, IfNoneMatch, PictureName, Quality, answer_with
from app.api.routes.jobs import JobId
from app.api.services import Services, TheServices
from app.api.trust_settings import MAX_LINK_S
from jobs.callers.scopes import Scope
from jobs.wire import Wire

router = APIRouter(prefix="/v1", tags=["images"], route_class=IntakeRoute)


class LinkRequest(Wire):
    """How long an address is to count."""

    expires_in_s: int | None = Field(
        None,
        ge=1,
        le=MAX_LINK_S,
        description="Seconds until it expires, at most a week. Default: what the operator has set.",
        examples=[600],
    )


class Link(Wire):
    """An address that needs no key."""

    url: str = Field(
        description="A path on this server, or an address at the artifact store.",
        examples=["/v1/signed-images/6f1c2a/0.png?expires=1767225600&signature=..."],
    )
    expires_at: datetime = Field(description="When it expires.")


@router.post(
    "/jobs/{job_id}/images/{name}/link",
    status_code=201,
    summary="Make an address that needs no key",
    response_description="The address. Whoever knows it gets the picture until it expires.",
    responses=documented(
        "invalid_request",
        "unknown_job",
        "unknown_image",
        "job_not_finished",
        "queue_unavailable",
        "artifacts_unavailable",
        "invalid_json",
        "unsupported_media_type",
        "body_too_large",
    ),
)
@needs(Scope.IMAGES_READ)
def make_link(
    job_id: JobId,
    name: PictureName,
    services: TheServices,
    quality: Quality = None,
    body: LinkRequest | None = None,
) -> Link:
    """Sign the address of a picture in one format, for a page or a colleague without a key."""
    index, suffix = parse_name(name)
    end = address_end(suffix or Format.PNG, quality)
    with reaching_the_store():
        image = find_picture(services.queue, job_id, index)
        link = services.links.link(job_id, image, end, (body or LinkRequest()).expires_in_s)
    return Link(url=reached(link.address), expires_at=link.expires_at)


@router.get(
    "/signed-images/{job_id}/{name}",
    summary="Get a picture by a signed address",
    response_class=Response,
    response_description="The picture.",
    responses={
        200: {"content": {picture.media_type: BINARY for picture in Format}},
        304: {"description": "The client has this picture already."},
        **documented(
            "invalid_request",
            "invalid_link",
            "link_expired",
            "unknown_job",
            "unknown_image",
            "queue_unavailable",
            "artifacts_unavailable",
        ),
    },
)
@public
def get_signed_image(
    request: Request,
    job_id: JobId,
    name: PictureName,
    expires: Annotated[int, Query(description="When the address expires, in seconds since 1970.")],
    signature: Annotated[
        str, Query(max_length=SIGNATURE_CHARS, description="What the server has signed the address with.")
    ],
    quality: Quality = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The picture that an address was signed for. No key is needed."""
    services: Services = request.app.state.services  # the signature says what may be seen, not the sender
    services.links.check(job_id, name, quality, expires, signature)
    index, suffix = parse_name(name)
    stored = find_picture(services.queue, job_id, index)
    caching = f"private, max-age={max(0, expires - int(time.time()))}"
    return answer_with(services, job_id, stored, suffix or Format.PNG, quality, if_none_match, caching)
