"""The cookie of a browser's session."""

from fastapi import Request, Response

from app.api.access.site_guard import is_of_own_site

# The prefix makes browsers refuse the cookie unless this host itself sets it over https, for itself alone.
_SECURE, _PLAIN = "__Host-lodestar", "lodestar"


def token_of(request: Request) -> str | None:
    """The session's token; None without one, and for a request that another site's page makes."""
    token = request.cookies.get(_name(request))
    return token if token and is_of_own_site(request.method, request.headers) else None


def set_token(request: Request, response: Response, token: str) -> None:
    """Give the browser the token, for as long as it is open."""
    response.set_cookie(
        _name(request), token, path="/", secure=_is_https(request), httponly=True, samesite="strict"
    )


def clear_token(request: Request, response: Response) -> None:
    """Take the token away."""
    response.delete_cookie(
        _name(request), path="/", secure=_is_https(request), httponly=True, samesite="strict"
    )


def _name(request: Request) -> str:
    # Over plain http, as on loopback, no browser takes the prefixed name.
    return _SECURE if _is_https(request) else _PLAIN


def _is_https(request: Request) -> bool:
    return request.url.scheme == "https"
