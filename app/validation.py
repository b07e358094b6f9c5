"""From pydantic's account of a bad request to ours: dotted field names, plain words, the limit by itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.problem import FieldError

# Where pydantic keeps the bound that a value passed, by the kind of bound.
_BOUNDS = ("le", "ge", "lt", "gt", "max_length", "min_length", "multiple_of", "expected")


def field_errors(errors: Sequence[Mapping[str, Any]]) -> tuple[FieldError, ...]:
    """One FieldError for each of pydantic's errors."""
    return tuple(
        FieldError(field=_dotted(error["loc"]), message=_message(error), limit=_limit(error))
        for error in errors
    )


def json_syntax_error(errors: Sequence[Mapping[str, Any]]) -> str | None:
    """What is wrong with a body that is not JSON; None if it is JSON."""
    for error in errors:
        if error["type"] == "json_invalid":
            return f"the body is not valid JSON: {error['ctx']['error']} at character {error['loc'][-1]}"
    return None


def body_was_not_read_as_json(errors: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the body reached pydantic as raw bytes, which happens when no JSON media type announces it."""
    return any(tuple(error["loc"]) == ("body",) and isinstance(error.get("input"), bytes) for error in errors)


def _dotted(loc: Sequence[str | int]) -> str:
    # The first part says where the field was: body, query, header or path.
    parts = loc[1:]
    return ".".join(str(part) for index, part in enumerate(parts) if not _is_kind(parts, index))


def _is_kind(parts: Sequence[str | int], index: int) -> bool:
    """Whether a part is no field but the kind of an objective, which pydantic puts between its number and its field."""
    return index > 1 and parts[index - 2] == "objectives" and isinstance(parts[index - 1], int)


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no field of this name"
    if error["type"] == "missing" and tuple(error["loc"]) == ("body",):
        return "the request has no body"
    if error["type"] == "model_attributes_type" and tuple(error["loc"]) == ("body",):
        return "the body must be a JSON object"
    # pydantic says before a message of our own of which class it was raised.
    return str(error["msg"]).removeprefix("Value error, ")


def _limit(error: Mapping[str, Any]) -> int | float | str | None:
    context = error.get("ctx", {})
    return next((context[name] for name in _BOUNDS if name in context), None)
