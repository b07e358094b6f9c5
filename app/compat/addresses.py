"""Absolute addresses of this server, for clients that are told where to fetch something."""

from fastapi import Request


def absolute(request: Request, path: str) -> str:
    """The address of a path, by the name and the scheme under which the client reached this server."""
    return str(request.base_url).rstrip("/") + path
