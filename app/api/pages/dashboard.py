"""The dashboard: static files without a build step or external resources."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse

from app.api.access.keys.needs import public
from app.api.intake.intake import IntakeRoute
from app.api.pages.files import PageFiles, page, policy
from jobs.status import links

router = APIRouter(include_in_schema=False, route_class=IntakeRoute)

_FOLDER = "dashboard"
_HEADERS = policy()


class DashboardFiles(PageFiles):
    """The page's styles and scripts."""

    def __init__(self) -> None:
        super().__init__([("app", _FOLDER)], _HEADERS)


@router.get("/")
@public
def index() -> HTMLResponse:
    """The page."""
    return page(_FOLDER, _HEADERS)


@router.get("/dashboard")
@router.get("/dashboard/")
@public
def where_it_is_looked_for() -> RedirectResponse:
    """The page is at the root; its files are here."""
    return RedirectResponse(links.here("/"))
