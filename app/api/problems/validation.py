"""From pydantic's errors to ours: dotted field names, plain words, the limit in a field of its own."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError, WrapValidator

from app.api.problems.problem import MAX_ERRORS, FieldError
from jobs.errors import LodestarError
from jobs.wording import wording

Place = tuple[int | str, ...]

# Pydantic's name of the bound that a value exceeds, by the kind of bound.
_BOUNDS = ("le", "ge", "lt", "gt", "max_length", "min_length", "multiple_of")
_QUOTED = re.compile(r"'([^']*)'")
_TOLD = 5
_WORDS = {
    "extra_forbidden": "there is no field of this name",
    "string_unicode": "the text is not UTF-8, or holds half of a surrogate pair",
}
_WORDS_OF_BODY = {
    "missing": "the request has no body",
    "model_attributes_type": "the body must be a JSON object",
}


def field_errors(errors: Sequence[Mapping[str, Any]]) -> tuple[FieldError, ...]:
    """One FieldError for each of pydantic's errors, of many only the first."""
    return tuple(
        FieldError(
            field=_dotted(error["loc"]), message=_message(error), limit=_limit(error), allowed=_allowed(error)
        )
        for error in errors[:MAX_ERRORS]
    )


def summary(fields: Sequence[FieldError], total: int) -> str:
    """The first few of ``total`` errors in a line, and how many more there are."""
    told = [f"{field.field}: {field.message}" if field.field else field.message for field in fields[:_TOLD]]
    more = [f"and {total - len(told)} more"] if total > len(told) else []
    return "; ".join(told + more)


def in_body(
    error: ValidationError, place: Callable[[Place], Place] = lambda place: place
) -> RequestValidationError:
    """The error of a request whose body was validated by ourselves; ``place`` renames the places of its fields."""
    errors = error.errors(include_url=False, include_input=False)
    return RequestValidationError([{**each, "loc": ("body", *place(each["loc"]))} for each in errors])


def otherwise(error: Callable[[str], LodestarError]) -> WrapValidator:
    """Raise this error for a value of the wrong type or out of its bounds.

    For names and numbers in a path: an impossible one is as unknown as a missing one.
    """

    def check(value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError as cause:
            raise error(str(value)[:100]) from cause

    return WrapValidator(check)


def _dotted(loc: Place) -> str:
    # The first part says where the field was: body, query, header or path.
    parts = loc[1:]
    return ".".join(str(part) for index, part in enumerate(parts) if not _is_kind(parts, index))


def _is_kind(parts: Place, index: int) -> bool:
    """Whether a part is no field but the kind of an objective, which pydantic puts between its number and its field."""
    return index > 1 and parts[index - 2] == "objectives" and isinstance(parts[index - 1], int)


def _message(error: Mapping[str, Any]) -> str:
    kind = error["type"]
    words = _WORDS_OF_BODY.get(kind) if tuple(error["loc"]) == ("body",) else _WORDS.get(kind)
    return words or wording(error)


def _allowed(error: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The values that a choice has, which pydantic tells in a sentence: ``'ddim', 'euler' or 'heun'``."""
    context = error.get("ctx", {})
    told = context.get("expected", context.get("expected_tags"))
    return tuple(_QUOTED.findall(told)) or None if isinstance(told, str) else None


def _limit(error: Mapping[str, Any]) -> int | float | str | None:
    context = error.get("ctx", {})
    return next((context[name] for name in _BOUNDS if name in context), None)
