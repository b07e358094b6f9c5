"""The page where people log in with a key, and what it calls."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app.api.access.auditing import note_refusal
from app.api.access.keys.admission import verified
from app.api.access.keys.cookie import clear_token, set_token, token_of
from app.api.access.keys.errors import UnauthenticatedError
from app.api.access.keys.needs import public
from app.api.intake.intake import IntakeRoute
from app.api.pages.files import page, policy
from app.api.problems.handlers import documented
from app.api.proxies import address_of
from app.api.services import Services, TheServices
from jobs.callers.audit import AuditAction
from jobs.callers.wrong_keys import TooManyWrongKeysError
from jobs.wire import Wire

router = APIRouter(tags=["keys"], route_class=IntakeRoute)

_FOLDER = "dashboard"
_PAGE = "login.html"
_HEADERS = policy()
_BODY_ERRORS = ("invalid_request", "invalid_json", "unsupported_media_type", "body_too_large")


class Login(Wire):
    """A key to log in with."""

    key: str = Field(
        max_length=200, description="A key; its session may do what it may.", examples=["lsk_..."]
    )


@router.get(
    "/login", summary="Show the login page", response_class=HTMLResponse, response_description="The page."
)
@public
def show_login() -> HTMLResponse:
    """A page with a form for `POST /login`."""
    return page(_FOLDER, _HEADERS, _PAGE)


@router.post(
    "/login",
    status_code=204,
    summary="Log in",
    response_description="The browser has a cookie, and may do what the key may.",
    responses=documented("unauthenticated", "too_many_wrong_keys", "queue_unavailable", *_BODY_ERRORS),
)
@public
async def log_in(request: Request, body: Login, services: TheServices) -> Response:
    """Begin a session of a browser. It ends after 8 hours without a request, after 7 days, or with its key."""
    text = body.key.strip()
    try:
        info = await run_in_threadpool(verified, services, text, address_of(request.scope))
    except (UnauthenticatedError, TooManyWrongKeysError) as error:
        note_refusal(request, AuditAction.KEY_REFUSED, text, error.message)
        raise
    answer = Response(status_code=204)
    set_token(request, answer, await run_in_threadpool(services.sessions.begin, info.id))
    return answer


@router.post(
    "/logout",
    status_code=204,
    summary="Log out",
    response_description="The session has ended, and the cookie is gone.",
    responses=documented("queue_unavailable"),
)
@public
def log_out(request: Request, services: TheServices) -> Response:
    """End the session of a browser; without one, nothing happens."""
    _end(request, services)
    answer = Response(status_code=204)
    clear_token(request, answer)
    return answer


def _end(request: Request, services: Services) -> None:
    token = token_of(request)
    if token is not None:
        services.sessions.end(token)
