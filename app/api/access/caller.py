"""The caller of a request."""

from typing import Annotated

from fastapi import Depends, Header, Request

from jobs.callers.identity import NOBODY, Identity

HEADER = "x-forwarded-user"
GROUPS_HEADER = "x-forwarded-groups"
_MOST_GROUPS = 200


def user_of(request: Request) -> str:
    """The user's name, from the header of an authenticating proxy; empty without one.

    The proxy chooses the name, so any value is valid. Its bytes are read as UTF-8 if they are UTF-8. The last of
    several headers counts: a client's own comes before the proxy's. ``ProxyLayer`` drops those of strangers.
    """
    names = request.headers.getlist(HEADER)
    return _text(names[-1]) if names else ""


def groups_of(request: Request) -> list[str]:
    """The user's groups, from the header of the same proxy, with commas between."""
    said = request.headers.getlist(GROUPS_HEADER)
    parts = _text(said[-1]).split(",", _MOST_GROUPS)[:_MOST_GROUPS] if said else []
    return [part.strip() for part in parts if part.strip()]


def identity_of(request: Request) -> Identity:
    """Who makes a request, as ``admit`` found it."""
    identity: Identity = getattr(request.state, "identity", NOBODY)
    return identity


def caller_of(request: Request) -> str:
    """The caller's name within its tenant: the proxy's user, else the name of its key; empty if it is anonymous."""
    return user_of(request) or identity_of(request).name


def _text(header: str) -> str:
    said = header.strip().encode("latin-1")
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
            "of the work; all anonymous ones count as one caller. Only trusted proxies are believed.",
            examples=["alice"],
        ),
    ] = None,
) -> str:
    del x_forwarded_user  # it stands there for the API's description
    return caller_of(request)


TheCaller = Annotated[str, Depends(_caller)]
