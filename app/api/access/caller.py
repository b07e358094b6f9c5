"""The caller of a request."""

from typing import Annotated

from fastapi import Depends, Header, Request

HEADER = "x-forwarded-user"


def caller_of(request: Request) -> str:
    """The caller's name, from the header of an authenticating proxy; empty without one.

    The proxy chooses the name, so any value is valid. Its bytes are read as UTF-8 if they are UTF-8. The last of
    several headers counts: a client's own comes before the proxy's.
    """
    names = request.headers.getlist(HEADER)
    said = names[-1].strip().encode("latin-1") if names else b""
    try:
        return said.decode()
    except UnicodeDecodeError:
        return said.decode("latin-1")


def _caller(
    request: Request,
    x_forwarded_user: Annotated[
        str | None,
        Header(
            description="Name of the caller, as an authenticating proxy sends it: any text. Callers get equal shares "
            "of the work; all anonymous ones count as one caller.",
            examples=["alice"],
        ),
    ] = None,
) -> str:
    del x_forwarded_user  # it stands there for the API's description
    return caller_of(request)


TheCaller = Annotated[str, Depends(_caller)]
