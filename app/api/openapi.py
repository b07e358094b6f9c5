"""The API's own description."""

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from app.api.access.keys.needs import Need, need_of
from app.api.access.site_guard import WORKING_PATHS
from app.api.intake.form_schema import without_null
from app.api.intake.intake import OwnRoute
from app.api.problems.handlers import documented
from app.api.problems.kind import TIMED_OUT, TOO_LARGE
from app.api.problems.problem import FieldError, Problem
from jobs.distribution import own_version

TITLE = "Lodestar"
DESCRIPTION = """
Guided image generation over HTTP: `POST /v1/jobs` queues a prompt, a worker generates it, and `GET /v1/jobs/{id}`
shows its progress and the addresses of its pictures.

Every error is a problem document (RFC 9457, `application/problem+json`) whose `type` is stable and leads to
its explanation under `/errors`. Every answer carries an `x-request-id`. Times are UTC; durations are in seconds.
"""
TAGS = [
    {"name": "jobs", "description": "Submit, get, cancel and delete jobs."},
    {"name": "events", "description": "Events of jobs, as a stream."},
    {"name": "images", "description": "The pictures of a job."},
    {"name": "nights", "description": "Candidates until a time is over, of which the best are kept."},
    {"name": "models", "description": "The models and CLIPs of this installation."},
    {"name": "aesthetics", "description": "Personalize, score and search pictures."},
    {"name": "keys", "description": "Keys of callers, and logins with them."},
    {"name": "operation", "description": "Workers, the queue, health and metrics."},
    {"name": "errors", "description": "The pages that the `type` of a problem document points to."},
]
VERSION = own_version()
_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key, as `Authorization: Bearer lsk_...`.",
    },
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same, in its own header.",
    },
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an app, with problem documents as the only shape of errors; made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        schemas = document["components"]["schemas"]
        document["components"]["securitySchemes"] = _SCHEMES
        needed, open_to_all = dict(_needs(app.routes)), app.state.services.auth == "none"
        own = {route.path for route in app.routes if isinstance(route, OwnRoute)}
        for path, verbs in document["paths"].items():
            for verb, operation in verbs.items():
                _drop_framework_errors(operation["responses"])
                need = needed.get((path, verb), Need(is_public=True))
                _add_errors_of_layers(path, verb, operation["responses"], need)
                if path in own:  # which refuses unknown fields in its query
                    operation["responses"].setdefault("422", documented("invalid_request")[422])
                _drop_null_body(operation.get("requestBody", {}))
                if not need.is_public:
                    operation["security"] = [
                        *([{}] if open_to_all else []),
                        *({name: []} for name in _SCHEMES),
                    ]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for name, schema in schemas.items():
            if name.startswith("Body_"):  # as FastAPI calls a route's form
                schema["properties"] = without_null(schema["properties"])
        for model in (Problem, FieldError):
            schemas[model.__name__] = _schema(model)
        app.openapi_schema = document
    return app.openapi_schema


def _drop_framework_errors(responses: dict[str, Any]) -> None:
    if "HTTPValidationError" in str(responses.get("422", "")):
        del responses["422"]


def _drop_null_body(body: dict[str, Any]) -> None:
    """A body that may be left out is described by FastAPI as one that may be null, which is refused."""
    for content in body.get("content", {}).values():
        kinds = content["schema"].get("anyOf", ())
        others = [kind for kind in kinds if kind != {"type": "null"}]
        if len(others) == 1 and len(kinds) > 1:
            content["schema"] = others[0]


def _needs(routes: Sequence[BaseRoute]) -> Iterator[tuple[tuple[str, str], Need]]:
    """What each path and verb needs."""
    for route in routes:
        if isinstance(route, APIRoute):
            for verb in route.methods or ():
                yield (route.path, verb.lower()), need_of(route.endpoint)


def _add_errors_of_layers(path: str, verb: str, responses: dict[str, Any], need: Need) -> None:
    """Add the errors of the layers before a route, of admission, and of the reading of a body."""
    only_reads = verb == "get" and path not in WORKING_PATHS
    kinds = ["host_not_allowed"] if only_reads else ["host_not_allowed", "cross_site"]
    if need.scopes:
        kinds.append("missing_scope")
    responses.setdefault("403", documented(*kinds)[403])
    if not need.is_public:
        for status, response in documented("unauthenticated", "too_many_wrong_keys").items():
            responses.setdefault(str(status), response)
    if str(TOO_LARGE) in responses:
        responses.setdefault(str(TIMED_OUT), documented("request_timeout")[TIMED_OUT])


def _schema(model: type[Problem] | type[FieldError]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return schema
