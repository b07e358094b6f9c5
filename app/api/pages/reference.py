"""The reference page of every route and field: Swagger UI from an installed package, with a script of our own."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from app.api.access.keys.needs import public
from app.api.intake.intake import IntakeRoute
from app.api.pages.files import PageFiles, page, policy

router = APIRouter(include_in_schema=False, route_class=IntakeRoute)

_FOLDER = "reference"
# Its style sheet has pictures in itself, and it shows those that the API answers with.
_HEADERS = policy(images="'self' data: blob:")


class ReferenceFiles(PageFiles):
    """The files of the page."""

    def __init__(self) -> None:
        super().__init__([("app", _FOLDER), ("fastapi_offline", "static")], _HEADERS)


@router.get("/docs")
@public
def show() -> HTMLResponse:
    """The page."""
    return page(_FOLDER, _HEADERS)
