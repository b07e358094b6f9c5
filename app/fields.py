"""The fields of a job as a terminal sends them: in the query, as a form, as JSON, or as a mixture."""

import json
from collections.abc import Iterable
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from jobs.errors import InvalidRequestError
from jobs.request import GenerateRequest

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_YES, _NO = frozenset({"true", "on", "yes", "1"}), frozenset({"false", "off", "no", "0"})
# Fields that have fields, written guidance.scale in a query or form.
_GROUPS = frozenset({"guidance", "personalization", "select", "upscale", "webhook"})
_LISTS = frozenset({"webhook.events"})  # fields that may come several times


async def read_request(request: Request) -> GenerateRequest:
    """The request that query and body make together.

    Raises:
        RequestValidationError: a field is unknown or wrong, or the body is not JSON; just as for a JSON body alone.
        InvalidRequestError: a field came twice.
        HTTPException: the body is of another type.
    """
    query = from_pairs(request.query_params.multi_items())
    body = await _read_body(request)
    if not isinstance(body, dict):
        raise RequestValidationError(
            [{"type": "dict_type", "loc": ("body",), "msg": "the body is not an object"}]
        )
    for name in query.keys() & body.keys():
        raise InvalidRequestError(f"{name} came in the query and in the body", field=name)
    try:
        return GenerateRequest.model_validate({**query, **body})
    except ValidationError as error:
        raise RequestValidationError(
            [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        ) from error


def query_parameters() -> list[dict[str, Any]]:
    """The fields as OpenAPI describes the parameters of a query; those that have fields are in the body's."""
    properties = GenerateRequest.model_json_schema(ref_template="#/components/schemas/{model}")["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": field["description"],
            "schema": {key: value for key, value in field.items() if key not in {"description", "title"}},
        }
        for name, field in properties.items()
        if name not in _GROUPS
    ]


def from_pairs(pairs: Iterable[tuple[str, object]]) -> dict[str, Any]:
    """The fields that the pairs of a query or a form stand for.

    ``guidance.scale=0.1`` sets a field of a field, and ``guidance=true`` sets one with its defaults. An empty value is
    a field of a form that nobody filled in.

    Raises:
        InvalidRequestError: a field came twice, or is a file.
    """
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if not isinstance(value, str):
            raise InvalidRequestError(f"{name} is a file, and no field takes one", field=name)
        group, dot, part = name.partition(".")
        if value == "" and name != "prompt":
            continue
        if name in _GROUPS:
            _put(fields, name, _group(name, value))
        elif dot and group in _GROUPS:
            inside = fields.setdefault(group, {})
            if not isinstance(inside, dict):
                raise InvalidRequestError(f"{name} came beside another value of {group}", field=name)
            _put(inside, part, [value] if name in _LISTS else value, path=name)
        else:
            _put(fields, name, value)
    return fields


def _put(fields: dict[str, Any], name: str, value: Any, path: str | None = None) -> None:
    before = fields.get(name)
    if isinstance(before, list) and isinstance(value, list):
        fields[name] = before + value
    elif isinstance(before, dict) and isinstance(value, dict):
        fields[name] = {**value, **before}
    elif name in fields:
        raise InvalidRequestError(f"{path or name} came twice", field=path or name)
    else:
        fields[name] = value


def _group(name: str, value: str) -> Any:
    word = value.strip().lower()
    if name == "guidance" and word in _YES | _NO:
        return {} if word in _YES else None
    if word.startswith("{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InvalidRequestError(f"{name} is not valid JSON: {error}", field=name) from error
    return value


async def _read_body(request: Request) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=100) as form:
            return from_pairs(form.multi_items())
    body = await request.body()
    if not body.strip():
        return {}
    # `curl -d '{...}'` calls its body a form.
    if (
        kind == "application/json"
        or kind.endswith("+json")
        or (kind in _FORMS and body.lstrip().startswith(b"{"))
    ):
        return _parse_json(body)
    if kind in _FORMS:
        async with request.form(max_fields=100) as form:
            return from_pairs(form.multi_items())
    raise HTTPException(
        415, "send the fields in the query, as a form, or as JSON with Content-Type: application/json"
    )


def _parse_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "it is nested too deep, or not UTF-8")
        position = getattr(error, "pos", 0)
        cause = {"type": "json_invalid", "loc": ("body", position), "msg": "", "ctx": {"error": reason}}
        raise RequestValidationError([cause]) from error
