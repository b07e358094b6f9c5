"""Absolute addresses of this server, for links in answers."""

from fastapi import Request


def base_of(request: Request) -> str:
    """The address of this server, by the name, the scheme and the prefix under which the client reached it.

    No slash at its end. The name is one that ``HostGuard`` lets pass.
    """
    return str(request.base_url).rstrip("/")


def absolute(request: Request, path: str) -> str:
    """The address of a path of this server, which is given without the prefix."""
    return base_of(request) + path
