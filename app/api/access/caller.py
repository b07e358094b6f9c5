"""The caller of a request."""

from typing import Annotated

from fastapi import Depends, Header, Request

HEADER = "x-forwarded-user"


def caller_of(request: Request) -> str:
    """The caller's name, as an authenticating proxy sends it; empty if none does.

    The name is the proxy's affair: any value is taken as it comes, its bytes read as UTF-8 where they are that.
    Of several the last counts, which is the proxy's own if the client has sent one too.
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
