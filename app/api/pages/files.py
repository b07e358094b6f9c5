"""Pages for people, without external resources."""

import os
from importlib.resources import files

from fastapi.responses import HTMLResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from jobs.status import links

COMPRESSED_FROM_BYTES = 500  # of what is smaller, headers are the most


def policy(images: str = "'self'") -> dict[str, str]:
    """The headers of a page and its files: it can load only its own files and talk only to its own server."""
    return {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"img-src {images}; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
        "Cache-Control": "no-cache",
    }


def page(folder: str, headers: dict[str, str], name: str = "index.html") -> HTMLResponse:
    """A page in a folder of this package, its addresses put under the prefix that the request came by."""
    text = (files("app") / folder / name).read_text(encoding="utf-8")
    return HTMLResponse(text.replace('="/', f'="{links.here("/")}'), headers=headers)


class PageFiles(StaticFiles):
    """The files of a page, with its headers.

    Args:
        folders: packages, each with a folder in it.
        headers: of every file.
    """

    def __init__(self, folders: list[tuple[str, str]], headers: dict[str, str]) -> None:
        super().__init__(packages=list(folders))
        self._headers = headers

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """One file."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(self._headers)
        return response


def compressed(files: PageFiles) -> ASGIApp:
    """The files of a page, all but the smallest compressed: many small modules are a page's first load.

    Answers of the API are compressed from larger sizes on, since each is made anew.
    """
    return GZipMiddleware(files, minimum_size=COMPRESSED_FROM_BYTES, compresslevel=6)
