"""Absolute addresses of this server, for clients that are told where to fetch something."""

from fastapi import Request


def base_of(request: Request) -> str:
    """The address of this server, by the name and the scheme under which the client reached it; no slash at its end."""
    return str(request.base_url).rstrip("/")


def absolute(request: Request, path: str) -> str:
    """The address of a path of this server."""
    return base_of(request) + path
