"""The fields of a request from a query, a form, JSON, or a mixture of them."""

from collections.abc import Iterable
from typing import Any

from fastapi import Request
from pydantic import ValidationError

from app.api.intake.bodies import (
    MULTIPART,
    URLENCODED,
    UnsupportedMediaTypeError,
    announced,
    is_json,
    parse_object,
    too_much,
)
from app.api.intake.form_pictures import MAX_FILES, with_pictures_as_text
from app.api.intake.form_schema import lists_of, nested_in, parts_of, without_null
from app.api.intake.forms import MAX_FIELDS, charset_of, pairs_of, query_pairs, read_multipart
from app.api.intake.json_text import NotJsonError, TooMuchError, read_json, require_modest
from app.api.intake.later_errors import with_later_errors
from app.api.problems.validation import in_body
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest

_YES, _NO = frozenset({"true", "on", "yes", "1"}), frozenset({"false", "off", "no", "0"})
# Fields that have fields, written guidance.scale in a query or form; and those that may come several times.
_GROUPS, _LISTS = frozenset(parts_of(GenerateRequest)), lists_of(GenerateRequest)
_NESTED = nested_in(GenerateRequest)  # which a form may hold as JSON
_MAX_FIELD_BYTES = 256 << 10  # of a form with files, which may be longer than other bodies


async def read_request(request: Request) -> GenerateRequest:
    """The request in the query and the body together.

    Raises:
        RequestValidationError: a field is unknown or wrong, just as for a JSON body alone.
        InvalidRequestError: a field came twice, or is a file where it takes none.
        InvalidJsonError, InvalidFormError: the body is neither JSON nor a form.
        UnsupportedMediaTypeError: the body is of another type.
    """
    query = from_pairs(query_pairs(request))
    body = await _read_body(request)
    for name in query.keys() & body.keys():
        raise InvalidRequestError(f"{name} came in the query and in the body", field=name)
    fields = {**query, **body}
    try:
        require_modest(fields)
        return GenerateRequest.model_validate(fields)
    except TooMuchError as error:
        raise too_much(error) from error
    except ValidationError as error:
        raise with_later_errors(in_body(error), request, fields) from error


def query_parameters() -> list[dict[str, Any]]:
    """The parameters of the query in OpenAPI; fields that have fields are described with the body."""
    schema = GenerateRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    properties = without_null(schema["properties"])
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": field["description"],
            **_described(
                name, {key: value for key, value in field.items() if key not in {"description", "title"}}
            ),
        }
        for name, field in properties.items()
        if name not in _GROUPS
    ]


def _described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """How a parameter is written: a list of words as the same name several times, what has fields as JSON."""
    if name in _NESTED - _LISTS:
        return {"content": {"application/json": {"schema": schema}}}
    return {"schema": schema}


def from_pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The fields in the pairs of a query or a form.

    ``guidance.scale=0.1`` sets a field of a field, and ``guidance=true`` sets one with its defaults. An empty value is
    a field that was not filled in.

    Raises:
        InvalidRequestError: a field came twice.
    """
    fields: dict[str, Any] = {}
    for name, value in pairs:
        group, dot, part = name.partition(".")
        if value == "" and name != "prompt":
            continue
        if name in _GROUPS:
            _put(fields, name, _read(name, value))
        elif (outer := name.rpartition(".")[0]) in _NESTED - _GROUPS:
            raise InvalidRequestError(f"{name} is too deep for a form; write {outer} as JSON", field=name)
        elif dot and group in _GROUPS:
            inside = fields.setdefault(group, {})
            if not isinstance(inside, dict):
                raise InvalidRequestError(f"{name} came beside another value of {group}", field=name)
            _put(inside, part, _read(name, value), path=name)
        else:
            _put(fields, name, _read(name, value))
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


def _read(name: str, value: str) -> Any:
    """What the text of a field says: JSON where it may be an object or a list. Of a list of words it may be one."""
    word = value.strip().lower()
    if name == "guidance" and word in _YES | _NO:
        return {} if word in _YES else None
    if name in _NESTED and word.startswith("[" if name in _LISTS else ("{", "[")):
        try:
            return read_json(value.encode())
        except NotJsonError as error:
            if name in _LISTS:
                return [value]
            raise InvalidRequestError(f"{name} {error}", field=name) from error
        except TooMuchError as error:
            raise too_much(error, name) from error
    return [value] if name in _LISTS else value


async def _read_body(request: Request) -> dict[str, Any]:
    kind = announced(request).get_content_type()
    if kind == MULTIPART:
        form = await read_multipart(request, MAX_FIELDS, MAX_FILES, _MAX_FIELD_BYTES)
        try:
            return from_pairs(with_pictures_as_text(form.multi_items(), GenerateRequest))
        finally:
            await form.close()
    body = await request.body()
    if not body.strip():
        return {}
    if is_json(request, body):
        return parse_object(body)
    if kind == URLENCODED:
        return from_pairs(pairs_of(body, charset_of(request)))
    raise UnsupportedMediaTypeError(
        "send the fields in the query, as a form, or as JSON with Content-Type: application/json"
    )
