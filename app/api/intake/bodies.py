"""Media types, and JSON bodies: one reader for every route and dialect."""

from email.message import Message
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError

from app.api.intake.json_text import NotJsonError, TooMuchError, read_json
from jobs.errors import LodestarError

URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
_TYPE_CHARS = 500
_BROWSERS_OWN = frozenset({"origin", "sec-fetch-site"})  # headers that no page can leave out


class InvalidJsonError(LodestarError):
    """The body is no JSON."""

    type = "invalid_json"


class UnsupportedMediaTypeError(LodestarError):
    """The body is of another type than the route reads, or compressed."""

    type = "unsupported_media_type"


def announced(request: Request) -> Message:
    """The type of a request's body with its parameters; ``application/octet-stream`` if it has none.

    Raises:
        UnsupportedMediaTypeError: the body is compressed.
    """
    if (coding := request.headers.get("content-encoding", "").strip().lower()) not in ("", "identity"):
        raise UnsupportedMediaTypeError(
            f"the body is sent with Content-Encoding: {coding[:50]}; send it as it is, without compression"
        )
    message = Message()
    message.set_default_type("application/octet-stream")
    kind = request.headers.get("content-type", "")
    if len(kind) > _TYPE_CHARS:  # the parser of parameters takes the square of it
        raise UnsupportedMediaTypeError(
            f"the Content-Type has {len(kind)} characters; at most {_TYPE_CHARS} are read"
        )
    if kind:
        message["content-type"] = kind
    return message


def is_json(request: Request, body: bytes) -> bool:
    """Whether a request's body is JSON, by its media type.

    ``curl -d '{...}'`` declares its body a form, so a form that begins with a brace counts as JSON. This opens no door
    to other sites: no page's form begins so, and the site guard refuses scripts of other sites by their origin. Any
    other type, such as the ``text/plain`` of a form, is refused. A body of no type at all is JSON, if no browser sends
    it: ``requests.post(url, data=json.dumps(...))`` does so.

    Raises:
        UnsupportedMediaTypeError: the body is compressed.
    """
    kind = announced(request).get_content_type()
    if "content-type" not in request.headers:
        return _BROWSERS_OWN.isdisjoint(request.headers)
    return (
        kind == "application/json"
        or (kind.startswith("application/") and kind.endswith("+json"))
        or (kind == URLENCODED and body.lstrip().startswith(b"{"))
    )


async def read_object(request: Request) -> dict[str, Any] | None:
    """The JSON object in the body; None without a body.

    Raises:
        UnsupportedMediaTypeError: the body is announced as something else, or compressed.
        InvalidJsonError, RequestValidationError: as for ``parse_object``.
    """
    announced(request)
    body = await request.body()
    if not body:
        return None
    if not is_json(request, body):
        raise UnsupportedMediaTypeError("send the body with Content-Type: application/json")
    return parse_object(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InvalidJsonError: it is no JSON.
        RequestValidationError: it is something else, or more than any request needs; the error names the place.
    """
    try:
        value = read_json(body)
    except NotJsonError as error:
        raise InvalidJsonError(f"the body {error}") from error
    except TooMuchError as error:
        raise too_much(error) from error
    if not isinstance(value, dict):
        raise RequestValidationError([{"type": "model_attributes_type", "loc": ("body",), "msg": ""}])
    return value


def too_much(error: TooMuchError, *within: str) -> RequestValidationError:
    """The error of a value beyond the limits, ``within`` a field or in the body."""
    limit = {"max_length": error.limit}
    return RequestValidationError(
        [{"type": "too_long", "loc": ("body", *within, *error.place), "msg": error.message, "ctx": limit}]
    )
