"""The key that a request brings, in the forms that clients of this and of other services send."""

import base64
import binascii
import re
from urllib.parse import unquote

from fastapi import Request

from app.api.access.keys.errors import KeyInQueryError, UnauthenticatedError
from jobs.callers.secret import START, KeyText, parse_key

HEADER = "x-api-key"
_SCHEMES = frozenset({"bearer", "token", "key"})
_IN_QUERY = re.compile(rf"{START}[0-9A-Za-z]", re.ASCII)


def key_of(request: Request) -> KeyText | None:
    """The key in a request's headers; None if they hold no credentials.

    Raises:
        UnauthenticatedError: they hold something that is no key.
    """
    text = credentials_of(request)
    return None if text is None else read_key(text)


def credentials_of(request: Request) -> str | None:
    """What ``Authorization`` (Bearer, Token, Key, or the password of Basic) or ``X-API-Key`` holds; None if neither."""
    scheme, _, value = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() in _SCHEMES:
        return value.strip()
    if scheme.lower() == "basic":
        return _password(value.strip())
    given = request.headers.get(HEADER)
    return None if given is None else given.strip()


def read_key(text: str) -> KeyText:
    """The key that a text is.

    Raises:
        UnauthenticatedError: it is none.
    """
    key = parse_key(text)
    if key is None:
        wrong = "its checksum is wrong" if text.startswith(START) else f"it does not begin with {START}"
        raise UnauthenticatedError(f"this is no key of this service, or it is mistyped: {wrong}")
    return key


def refuse_key_in_query(request: Request) -> None:
    """Raise KeyInQueryError if the address of a request holds a key: addresses are logged and passed on."""
    if _IN_QUERY.search(unquote(request.scope["query_string"].decode("latin-1"))):
        raise KeyInQueryError(
            "a key may not stand in the address, which others log: send it in the header Authorization, and rotate "
            "this one"
        )


def _password(encoded: str) -> str:
    """The password of Basic; the user name says nothing."""
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
