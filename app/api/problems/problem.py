"""The body of every error answer. Its length is bounded, whatever the request's."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from jobs.wire import Wire

MAX_ERRORS = 20
_NAME_CHARS = 100
_MESSAGE_CHARS = 300
_DETAIL_CHARS = 1000
# Characters that end a line, control a terminal, or cannot be encoded.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def shortened(text: str, most: int) -> str:
    """A text in one line of at most ``most`` characters: of a longer one its beginning and its end."""
    # Cut first, since what is cut need not be searched; and again, since an escape is longer than its character.
    return _cut(_UNPRINTABLE.sub(_escape, _cut(text, most)), most)


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 5]} ... {text[-end:]}"


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


class FieldError(Wire):
    """An error of one field of the request."""

    field: Annotated[str, BeforeValidator(lambda name: shortened(name, _NAME_CHARS))] = Field(
        description="Dotted path of the field, or name of the parameter or header; empty for the whole body.",
        examples=["guidance.cutouts"],
    )
    message: Annotated[str, BeforeValidator(lambda message: shortened(message, _MESSAGE_CHARS))] = Field(
        description="What is wrong, for a person.", examples=["Input should be less than or equal to 256"]
    )
    limit: int | float | str | None = Field(
        None, description="The bound that was passed; left out if none.", examples=[256]
    )
    allowed: tuple[str, ...] | None = Field(
        None,
        description="The values that the field may have, if it may have only some; left out otherwise.",
        examples=[["ddim", "euler"]],
    )


class Problem(Wire):
    """An error, as a problem document of RFC 9457."""

    type: str = Field(
        description="Stable identifier of the kind of error: the path of its explanation on this server.",
        examples=["/errors/invalid_request"],
    )
    title: str = Field(
        description="The kind of error in words, always the same.", examples=["Invalid request"]
    )
    status: int = Field(ge=400, le=599, description="HTTP status code.", examples=[422])
    detail: Annotated[str, BeforeValidator(lambda detail: shortened(detail, _DETAIL_CHARS))] = Field(
        description="What went wrong this time.",
        examples=["guidance.cutouts: Input should be less than or equal to 256"],
    )
    request_id: str = Field(
        description="The x-request-id of this answer, to quote when asking for help.",
        examples=["2f6f0d3c9b1e4a57"],
    )
    errors: Annotated[tuple[FieldError, ...], BeforeValidator(lambda errors: errors[:MAX_ERRORS])] = Field(
        (),
        max_length=MAX_ERRORS,
        description="The fields at fault, each with its limit; left out if the request as a whole is. Of more than "
        f"{MAX_ERRORS} the first, and `detail` says how many more there are.",
    )
