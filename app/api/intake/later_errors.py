"""What the second stage of a request's checks would say of a request that the first has refused."""

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from jobs.errors import LodestarError
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve

# Without one of these, the others may be wrong of which nothing is wrong.
_DECISIVE = frozenset({"model", "guidance", "select", "init", "mask", "outpaint", "hires", "personalization"})


def with_later_errors(
    error: RequestValidationError, request: Request, fields: dict[str, Any]
) -> RequestValidationError:
    """The error, and what the chosen model says of the fields that are not at fault, so that a caller learns both.

    Args:
        error: of the first stage, which looks at each field by itself.
        request: that was refused.
        fields: of its body.
    """
    errors = list(error.errors())
    wrong = {str(each["loc"][1]) for each in errors if len(each["loc"]) > 1}
    if not wrong or wrong & _DECISIVE:
        return error
    rest = {"prompt": "", **{name: value for name, value in fields.items() if name not in wrong}}
    try:
        resolve(GenerateRequest.model_validate(rest), request.app.state.services.catalog)
    except ValidationError:
        return error
    except LodestarError as later:
        name = later.field
        if name is None or name.partition(".")[0] in wrong or name.partition(".")[0] not in fields:
            return error
        errors.append({"type": "value_error", "loc": ("body", *name.split(".")), "msg": later.message})
        return RequestValidationError(errors)
    except OSError:  # the artifact store is away: the first stage says enough
        return error
    return error
