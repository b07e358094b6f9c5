"""The one place that knows HTTP codes: each error becomes a problem document (RFC 9457) of a stable type.

Under the paths of a dialect it is worded as that dialect's clients expect; see ``app/compat/envelopes.py``.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from app.formats import prefers
from app.problem import FieldError, Problem
from app.validation import body_was_not_read_as_json, field_errors, json_syntax_error
from jobs.errors import LodestarError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
NOT_READY = 503
TOO_LARGE = 413


@dataclass(frozen=True)
class Kind:
    """A kind of error as clients meet it."""

    name: str
    status: int
    title: str
    explanation: str
    retry_after_s: int | None = None


@dataclass(frozen=True)
class Dialect:
    """Paths of another service's API, and how its clients are told of an error."""

    paths: re.Pattern[str]
    answer: Callable[[Problem, Kind], JSONResponse]


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "invalid_request",
            422,
            "Invalid request",
            "A field is unknown or has a value that cannot be served.",
        ),
        Kind(
            "unknown_model",
            422,
            "Unknown model",
            "The catalog, listed at /v1/models, has no such model or CLIP.",
        ),
        Kind(
            "unknown_embedding",
            404,
            "Unknown embedding",
            "No aesthetic embedding has this name; /v1/aesthetic-embeddings lists them.",
        ),
        Kind(
            "name_taken",
            409,
            "Name taken",
            "There is an aesthetic embedding of this name. Delete it first, or choose another name.",
        ),
        Kind(
            "clip_mismatch",
            422,
            "CLIP mismatch",
            "An embedding can only be used with the CLIP that made it.",
        ),
        Kind(
            "no_image_tower",
            422,
            "No image tower",
            "The catalog names no CLIP that the model's text encoder belongs to, which personalisation needs.",
        ),
        Kind(
            "invalid_file",
            422,
            "Invalid file",
            "An uploaded file is damaged, too large, or of a format that is not read.",
        ),
        Kind(
            "missing_extra",
            501,
            "Missing extra",
            "The server was installed without a part that this needs; the detail says what to install.",
        ),
        Kind(
            "search_timed_out",
            503,
            "Search timed out",
            "No worker has read the query in time: all are busy, or there is none.",
            5,
        ),
        Kind("unknown_job", 404, "Unknown job", "The job never existed, was deleted, or has expired."),
        Kind(
            "unknown_image", 404, "Unknown image", "The job has no picture of this number or in this format."
        ),
        Kind(
            "job_not_finished",
            409,
            "Job not finished",
            "The job is queued or running: wait for it and ask again.",
        ),
        Kind(
            "idempotency_conflict",
            422,
            "Idempotency conflict",
            "The key was used with another body in the last 24 hours. Use a new key for a new request.",
        ),
        Kind(
            "queue_full",
            429,
            "Queue full",
            "As many jobs wait as may. Nothing was stored: try again later.",
            10,
        ),
        Kind(
            "queue_unavailable",
            503,
            "Queue unavailable",
            "Redis, which keeps the jobs, is away or refuses to write. An Idempotency-Key makes retries safe.",
            2,
        ),
        Kind(
            "artifacts_unavailable",
            503,
            "Artifact store unavailable",
            "The store that keeps the pictures is away, full, or refuses. Nothing is lost: try again.",
            5,
        ),
        Kind(
            "job_failed",
            500,
            "Job failed",
            "The job that this call waited for has failed; trying the same again would end alike.",
        ),
        Kind("job_canceled", 409, "Job canceled", "The job that this call waited for was canceled."),
        Kind(
            "stopping",
            503,
            "Server stopping",
            "The server stopped while this call waited for its job. Another server, or this one soon, takes it.",
            2,
        ),
        Kind(
            "not_supported",
            501,
            "Not supported",
            "Another service has this call, and this server speaks its dialect, but cannot do what it asks for.",
        ),
        Kind("invalid_json", 400, "Invalid JSON", "The body cannot be parsed."),
        Kind(
            "unsupported_media_type",
            415,
            "Unsupported media type",
            "Send JSON, as application/json; POST /v1/images takes forms too.",
        ),
        Kind("body_too_large", TOO_LARGE, "Body too large", "The body is longer than this server reads."),
        Kind("not_found", 404, "Not found", "No route has this path; /openapi.json lists them."),
        Kind(
            "method_not_allowed", 405, "Method not allowed", "The path takes other methods, named in Allow."
        ),
        Kind("internal", 500, "Internal error", "A fault of the server, logged there under the request id."),
    )
}
_BY_STATUS = {
    400: "invalid_json",
    404: "not_found",
    405: "method_not_allowed",
    TOO_LARGE: "body_too_large",
    415: "unsupported_media_type",
}


def install(app: FastAPI, dialects: tuple[Dialect, ...] = ()) -> None:
    """Answer every error of the app with a problem document, or in the dialect that its path belongs to."""
    app.state.dialects = dialects

    @app.exception_handler(LodestarError)
    async def domain(request: Request, error: LodestarError) -> Response:
        return _worded(request, *problem_of(request, error))

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:
        errors = error.errors()
        if syntax := json_syntax_error(errors):
            return _answer(request, KINDS["invalid_json"], syntax)
        if body_was_not_read_as_json(errors):
            return _answer(
                request, KINDS["unsupported_media_type"], "send the body with Content-Type: application/json"
            )
        fields = field_errors(errors)
        detail = "; ".join(
            f"{field.field}: {field.message}" if field.field else field.message for field in fields
        )
        return _answer(request, KINDS["invalid_request"], detail, fields)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        kind = KINDS[_BY_STATUS.get(error.status_code, "internal")]
        answer = _answer(request, kind, _detail(request, kind, error))
        answer.headers.update(error.headers or {})
        return answer


def problem_of(request: Request, error: LodestarError) -> tuple[Problem, Kind]:
    """What a client is told of an error, and its kind; of one without an HTTP meaning only that it happened."""
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


def internal(request: Request) -> Response:
    """The answer to a fault of ours; it tells nothing about the inside."""
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
    if any(kind.retry_after_s for kind in kinds):
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


def _worded(request: Request, problem: Problem, kind: Kind) -> Response:
    dialects: tuple[Dialect, ...] = request.app.state.dialects
    speaks = next((dialect.answer for dialect in dialects if dialect.paths.match(request.url.path)), None)
    answer = speaks(problem, kind) if speaks else _native(request, problem, kind)
    if kind.retry_after_s is not None:
        answer.headers["Retry-After"] = str(kind.retry_after_s)
    return answer


def _native(request: Request, problem: Problem, kind: Kind) -> Response:
    headers = {"Vary": "Accept"}
    if prefers(request.headers.get("accept"), "text/plain", "application/json", MEDIA_TYPE):
        line = f"{kind.name}: {problem.detail} (request {problem.request_id})\n"
        return PlainTextResponse(line, kind.status, headers)
    return _ProblemResponse(problem.model_dump(mode="json", exclude_defaults=True), kind.status, headers)


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
