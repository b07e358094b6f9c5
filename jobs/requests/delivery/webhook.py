"""Signed messages about a job, which its caller's address gets."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, HttpUrl, field_validator

from jobs.wire import AtMost, Wire


class WebhookEvent(StrEnum):
    """An occasion for a webhook's message."""

    STARTED = "started"
    DONE = "done"


class Webhook(Wire):
    """Where to send signed messages about the job."""

    url: HttpUrl = Field(
        description="Address that the messages are posted to. Private, loopback and link-local addresses are refused "
        "unless the server's operator allows them; redirects are not followed.",
        examples=["https://example.com/lodestar"],
    )
    events: Annotated[tuple[WebhookEvent, ...], AtMost(len(WebhookEvent))] = Field(
        (WebhookEvent.DONE,),
        min_length=1,
        description="`done` is sent at the job's end and repeated until it is accepted. `started` is sent once, when "
        "a worker starts the job.",
    )

    @field_validator("url")
    @classmethod
    def _names_no_user(cls, url: HttpUrl) -> HttpUrl:
        if url.username or url.password:
            raise ValueError("the address of a webhook may hold no user name or password")
        return url
