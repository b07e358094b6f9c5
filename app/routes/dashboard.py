"""The job-status page: static files, no build step, nothing from elsewhere."""

import os
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

router = APIRouter(include_in_schema=False)

_HEADERS = {
    # The page can load only its own files and talk only to its own server.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class DashboardFiles(StaticFiles):
    """The page's styles and scripts, with its headers."""

    def __init__(self) -> None:
        super().__init__(packages=[("app", "dashboard")])

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """One file."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(_HEADERS)
        return response


@router.get("/")
def index() -> HTMLResponse:
    """The page."""
    page = (files("app") / "dashboard" / "index.html").read_text(encoding="utf-8")
    return HTMLResponse(page, headers=_HEADERS)
