"""The pages that the `type` of a problem document points to."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.exceptions import HTTPException

from app.api.access.keys.needs import public
from app.api.intake.intake import IntakeRoute
from app.api.problems.handlers import documented
from app.api.problems.kinds import KINDS
from jobs.wire import Wire

router = APIRouter(prefix="/errors", tags=["errors"], route_class=IntakeRoute)


class ErrorKind(Wire):
    """A kind of error."""

    type: str = Field(description="The `type` of its problem documents.", examples=["/errors/queue_full"])
    status: int = Field(description="HTTP status code that it is answered with.", examples=[429])
    title: str = Field(description="The kind of error in words.", examples=["Queue full"])
    explanation: str = Field(description="What it means and what to do.")


@router.get("", summary="List the kinds of errors")
@public
async def list_error_kinds() -> tuple[ErrorKind, ...]:
    """Every kind of error that this server answers with."""
    return tuple(_kind(name) for name in KINDS)


@router.get("/{name}", summary="Explain a kind of error", responses=documented("not_found"))
@public
async def get_error_kind(
    name: Annotated[str, Path(description="Last part of a problem's `type`.", examples=["queue_full"])],
) -> ErrorKind:
    """The meaning of one kind of error."""
    if name not in KINDS:
        raise HTTPException(404)
    return _kind(name)


def _kind(name: str) -> ErrorKind:
    kind = KINDS[name]
    return ErrorKind(
        type=f"/errors/{name}", status=kind.status, title=kind.title, explanation=kind.explanation
    )
