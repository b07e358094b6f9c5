"""Errors in each dialect's form, so that its clients raise the exceptions that their users catch."""

import re
from typing import Any

from starlette.responses import JSONResponse

from app.api.problems.handlers import MEDIA_TYPE, Addition, Dialect
from app.api.problems.kind import Kind
from app.api.problems.problem import FieldError, Problem
from app.api.problems.validation import summary

_NOT_FOUND, _BAD_REQUEST = 404, 400
# The errors for which OpenAI's own service has another code than ours.
_OPENAI_STATUS = {422: _BAD_REQUEST, 501: _BAD_REQUEST}
_OPENAI_CODES = {
    "unknown_model": "model_not_found",
    "not_supported": "unsupported_operation",
    "unauthenticated": "invalid_api_key",
    "invalid_file": "invalid_image_file",
    "content_blocked": "moderation_blocked",
    "rate_limited": "rate_limit_exceeded",
    "quota_exceeded": "insufficient_quota",
}


def openai_error(problem: Problem, kind: Kind) -> dict[str, Any]:
    """``{"message", "type", "param", "code"}``, the inside of every error of OpenAI's."""
    status = _openai_status(kind)
    return {
        "message": problem.detail,
        "type": _OPENAI_CODES["quota_exceeded"] if kind.name == "quota_exceeded" else _openai_type(status),
        "param": next((field.field for field in problem.errors if field.field), None),
        "code": _OPENAI_CODES.get(kind.name, kind.name),
    }


def _openai(problem: Problem, kind: Kind) -> JSONResponse:
    answer = JSONResponse({"error": openai_error(problem, kind)}, _openai_status(kind))
    if kind.retry_after_s is None:
        # Its clients try 409 and everything from 500 on again by themselves, even a POST.
        answer.headers["x-should-retry"] = "false"
    return answer


def _openai_status(kind: Kind) -> int:
    return _NOT_FOUND if kind.name == "unknown_model" else _OPENAI_STATUS.get(kind.status, kind.status)


def _openai_type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"


def _replicate(problem: Problem, kind: Kind) -> JSONResponse:
    # A model in the path is a resource; one in the body is a field.
    is_missing = kind.name == "unknown_model" and all(field.field == "model" for field in problem.errors)
    status = _NOT_FOUND if is_missing else kind.status
    content: dict[str, Any] = {
        "type": problem.type,
        "title": problem.title,
        "detail": problem.detail,
        "status": status,
        "request_id": problem.request_id,
    }
    if problem.errors:
        content["invalid_fields"] = [_replicate_field(kind, field) for field in problem.errors]
    return JSONResponse(content, status, media_type=MEDIA_TYPE)


def _replicate_field(kind: Kind, field: FieldError) -> dict[str, Any]:
    return {"type": kind.name, "field": field.field, "description": field.message}


def _a1111(problem: Problem, kind: Kind) -> JSONResponse:
    errors = summary(problem.errors, len(problem.errors))
    content = {"error": kind.name, "detail": problem.detail, "body": "", "errors": errors or problem.title}
    return JSONResponse(content, kind.status)


DIALECTS = (
    Dialect(re.compile(r"/(sdapi|controlnet)(/|$)|/(internal/ping|app_id)$"), _a1111),
    Dialect(
        re.compile(r"/v1/(predictions|deployments|files|webhooks/default)(/|$)|/v1/models/[^/]+/[^/]+"),
        _replicate,
    ),
    Dialect(re.compile(r"/v1/images/(generations|edits|variations)$|/v1/models/"), _openai),
)
# Of calls that no dialect here has, such as chat completions. OpenAI's clients show the message of ``error`` alone.
ADDITIONS = (
    Addition(
        re.compile(r"/v1(/|$)"),
        frozenset({"not_found", "method_not_allowed"}),
        lambda problem, kind: {"error": openai_error(problem, kind)},
    ),
)
