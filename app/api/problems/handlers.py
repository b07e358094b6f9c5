"""The one place that knows HTTP codes: each error becomes a problem document (RFC 9457) of a stable type.

Under the paths of a dialect it has the dialect's form; see ``app/api/dialects/envelopes.py``.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from app.api.pictures.formats import prefers
from app.api.problems.allowances import tell_allowances
from app.api.problems.kind import TIMED_OUT, TOO_LARGE, UNAUTHENTICATED, Kind
from app.api.problems.kinds import KINDS
from app.api.problems.problem import FieldError, Problem
from app.api.problems.validation import field_errors, summary
from app.api.proxies import own_path
from jobs.errors import LodestarError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Dialect:
    """Paths of another service's API, and the form of its errors."""

    paths: re.Pattern[str]
    answer: Callable[[Problem, Kind], JSONResponse]


@dataclass(frozen=True)
class Addition:
    """More members of a problem document, for clients that look for a message elsewhere (RFC 9457, section 3.2)."""

    paths: re.Pattern[str]
    kinds: frozenset[str]
    members: Callable[[Problem, Kind], dict[str, Any]]


_BY_STATUS = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    TIMED_OUT: "request_timeout",
    TOO_LARGE: "body_too_large",
    415: "unsupported_media_type",
}


_METHODS = ("GET", "HEAD", "QUERY", "POST", "PUT", "PATCH", "DELETE")


def install(app: FastAPI, dialects: tuple[Dialect, ...] = (), additions: tuple[Addition, ...] = ()) -> None:
    """Answer every error of the app with a problem document, or in the dialect that its path belongs to."""
    app.state.dialects = dialects
    app.state.additions = additions

    # The body is incomplete, and the client is gone.
    app.add_exception_handler(ClientDisconnect, lambda *_: Response(status_code=400))

    @app.exception_handler(LodestarError)
    async def domain(request: Request, error: LodestarError) -> Response:
        return refusal(request, error)

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:
        errors = error.errors()
        fields = field_errors(errors)
        return _answer(request, KINDS["invalid_request"], summary(fields, len(errors)), fields)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        kind = KINDS[_BY_STATUS.get(error.status_code, "internal")]
        answer = _answer(request, kind, _detail(request, kind, error))
        answer.headers.update(error.headers or {})
        if kind.name == "method_not_allowed":
            answer.headers["Allow"] = ", ".join(_allowed(request))
        return answer


def refusal(request: Request, error: LodestarError) -> Response:
    """The answer to an error, for layers outside the routes."""
    return _worded(request, *problem_of(request, error), error.retry_after_s)


def problem_of(request: Request, error: LodestarError) -> tuple[Problem, Kind]:
    """The problem document of an error, and its kind; an error without an HTTP meaning reveals nothing else."""
    if error.type not in KINDS:
        log.error("error without an HTTP meaning", exc_info=error)
        return _internal(request), KINDS["internal"]
    kind = KINDS[error.type]
    fields = () if error.field is None else (FieldError(field=error.field, message=error.message),)
    return _problem(kind, error.message, request.state.request_id, fields), kind


def _detail(request: Request, kind: Kind, error: HTTPException) -> str:
    if kind.name == "not_found":
        return f"nothing is at {request.url.path}"
    if kind.name == "method_not_allowed":
        return f"{request.url.path} does not take {request.method}"
    return error.detail


def _allowed(request: Request) -> list[str]:
    """The methods that a path takes; its routes know one each, and none knows that HEAD is served wherever GET is."""
    asked = {
        "type": "http",
        "path": request.scope["path"],
        "root_path": request.scope.get("app_root_path", request.scope.get("root_path", "")),
        "headers": [],
    }

    def is_taken(method: str) -> bool:
        scope = {**asked, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return [method for method in _METHODS if is_taken("GET" if method == "HEAD" else method)]


def internal(request: Request) -> Response:
    """The answer to an internal error; it reveals nothing about it."""
    return _worded(request, _internal(request), KINDS["internal"])


def _internal(request: Request) -> Problem:
    detail = "the server met an unexpected error; its log has more"
    return _problem(KINDS["internal"], detail, request.state.request_id)


def documented(*names: str) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that can end with these kinds of error, as OpenAPI wants them."""
    kinds: dict[int, list[Kind]] = {}
    for name in names:
        kinds.setdefault(KINDS[name].status, []).append(KINDS[name])
    return {status: _documented_status(alike) for status, alike in kinds.items()}


def _documented_status(kinds: list[Kind]) -> dict[str, Any]:
    examples = {kind.name: {"summary": kind.title, "value": _example(kind)} for kind in kinds}
    answer: dict[str, Any] = {
        "description": " Or: ".join(f"{kind.title}. {kind.explanation}" for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }
    if any(kind.retry_after_s or kind.is_lasting for kind in kinds):
        answer["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait before another try.",
                "schema": {"type": "integer"},
            }
        }
    return answer


def _example(kind: Kind) -> dict[str, Any]:
    return _problem(kind, kind.explanation, "2f6f0d3c9b1e4a57").model_dump(mode="json", exclude_defaults=True)


def _answer(request: Request, kind: Kind, detail: str, fields: tuple[FieldError, ...] = ()) -> Response:
    return _worded(request, _problem(kind, detail, request.state.request_id, fields), kind)


def _worded(request: Request, problem: Problem, kind: Kind, retry_after_s: float | None = None) -> Response:
    request.state.rejection = kind.name  # for the metrics
    dialects: tuple[Dialect, ...] = request.app.state.dialects
    path = own_path(request.scope)
    speaks = next((dialect.answer for dialect in dialects if dialect.paths.match(path)), None)
    answer = speaks(problem, kind) if speaks else _native(request, problem, kind)
    wait_s = kind.retry_after_s if retry_after_s is None else max(1, ceil(retry_after_s))
    if wait_s is not None:
        answer.headers["Retry-After"] = str(wait_s)
    if kind.is_lasting:
        answer.headers["x-should-retry"] = "false"  # clients of OpenAI and of ours obey it
    tell_allowances(request, answer)
    if kind.status == UNAUTHENTICATED:
        answer.headers["WWW-Authenticate"] = _challenge(path)
    return answer


def _challenge(path: str) -> str:
    """The schemes to send a key with. Basic only where A1111's clients need it, since browsers open a window for it."""
    basic = 'Basic realm="lodestar", ' if path.startswith("/sdapi") else ""
    return f'{basic}Bearer realm="lodestar"'


def _native(request: Request, problem: Problem, kind: Kind) -> Response:
    headers = {"Vary": "Accept"}
    if prefers(request.headers.get("accept"), "text/plain", "application/json", MEDIA_TYPE):
        line = f"{kind.name}: {problem.detail} (request {problem.request_id})\n"
        return PlainTextResponse(line, kind.status, headers)
    document = problem.model_dump(mode="json", exclude_defaults=True)
    additions: tuple[Addition, ...] = request.app.state.additions
    for more in additions:
        if kind.name in more.kinds and more.paths.match(own_path(request.scope)):
            document |= more.members(problem, kind)
    return _ProblemResponse(document, kind.status, headers)


class _ProblemResponse(JSONResponse):
    """Laid out in lines, for errors are read in terminals."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n"


def _problem(kind: Kind, detail: str, request_id: str, fields: tuple[FieldError, ...] = ()) -> Problem:
    return Problem(
        type=f"/errors/{kind.name}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        request_id=request_id,
        errors=fields,
    )
