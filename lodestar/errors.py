"""The errors of the client: one tree, whose root is ``ClientError``."""

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

from jobs.errors import LodestarError
from jobs.wording import wording
from lodestar.http.hints import hinted_s

if TYPE_CHECKING:
    import httpx
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from jobs.status.job import Job


class ClientError(LodestarError):
    """Base of every error that the client raises.

    Attributes:
        kind: stable name of the reason, such as ``queue_full``; the server's own for what it refuses.
        message: one sentence for a person.
        field: the field of the request at fault, or None.
    """

    type: ClassVar[str] = "client_error"

    def __init__(self, message: str, *, kind: str | None = None, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.kind = kind or self.type


class ServerUnreachableError(ClientError):
    """There is no server at the address, or it is gone."""

    type = "server_unreachable"


class WaitTimeoutError(ClientError):
    """The job is not finished within the time that the caller wanted to wait; it goes on."""

    type = "wait_timeout"


class NotReadableError(ClientError):
    """A file or picture that should be sent cannot be read."""

    type = "not_readable"


class NotWritableError(ClientError):
    """A file cannot be written where it should go."""

    type = "not_writable"


class MissingPackageError(ClientError):
    """The call needs an optional package; the message names it."""

    type = "missing_package"


class JobNotDoneError(ClientError):
    """The job has ended without its result.

    Attributes:
        job: as it ended.
    """

    type = "job_not_done"

    def __init__(self, message: str, job: "Job", *, kind: str | None = None) -> None:
        super().__init__(message, kind=kind)
        self.job = job


class JobFailedError(JobNotDoneError):
    """The job failed; the kind is that of its error, such as ``deadline_exceeded``."""

    type = "job_failed"


class JobCanceledError(JobNotDoneError):
    """The job was canceled."""

    type = "job_canceled"


@dataclass(frozen=True)
class FieldProblem:
    """A field of the request that the server refuses."""

    field: str
    message: str


class ApiError(ClientError):
    """The server answers with an error.

    Attributes:
        status: the HTTP code.
        errors: every field at fault.
        request_id: what the server's log calls the request; None if it does not say.
        retry_after_s: seconds that the server asks to wait before another try; None if it does not say.
    """

    type = "api_error"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        kind: str | None = None,
        errors: tuple[FieldProblem, ...] = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, kind=kind, field=errors[0].field if errors else None)
        self.status = status
        self.errors = errors
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class ServerUnavailableError(ApiError):
    """The server is unavailable at present: 502, 503 or 504."""

    type = "server_unavailable"


class TooManyRequestsError(ApiError):
    """The server takes no more at present: 429."""

    type = "too_many_requests"


class RefusedError(ApiError):
    """The server refuses the request, and would again."""

    type = "refused"


class NotAllowedError(RefusedError):
    """The key is missing or wrong, or may not do this: 401 or 403."""

    type = "not_allowed"


class NotFoundError(RefusedError):
    """There is nothing of this name: 404."""

    type = "not_found"


class ConflictError(RefusedError):
    """What is there forbids it: 409."""

    type = "conflict"


class InvalidRequestError(RefusedError):
    """A field has a value that cannot be served: 422, and found before anything is sent where the client can."""

    type = "invalid_request"


# Errors that pass: who waits for a job bears with them.
PASSING = (ServerUnreachableError, ServerUnavailableError, TooManyRequestsError)

_BY_STATUS: dict[int, type[ApiError]] = {
    401: NotAllowedError,
    403: NotAllowedError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidRequestError,
    429: TooManyRequestsError,
    502: ServerUnavailableError,
    503: ServerUnavailableError,
    504: ServerUnavailableError,
}


def error_of(response: "httpx.Response") -> ApiError:
    """The error that an answer describes: its problem document, or its status where it has none."""
    problem = _problem(response)
    fallback = f"{response.request.url} answers {response.status_code} {response.reason_phrase}"
    said = problem.get("detail") or problem.get("title") or fallback
    return _BY_STATUS.get(response.status_code, RefusedError)(
        str(said),
        status=response.status_code,
        kind=str(problem.get("type", "")).rpartition("/")[2] or None,
        errors=tuple(_fields(problem.get("errors"))),
        request_id=problem.get("request_id") or response.headers.get("x-request-id"),
        retry_after_s=hinted_s(response.headers),
    )


def invalid_request(error: "ValidationError") -> InvalidRequestError:
    """The error of a request that is wrong before it is sent."""
    errors = tuple(
        FieldProblem(".".join(str(part) for part in each["loc"]), _told(each)) for each in error.errors()
    )
    message = "; ".join(f"{each.field}: {each.message}" if each.field else each.message for each in errors)
    return InvalidRequestError(message, status=422, errors=errors)


def _problem(response: "httpx.Response") -> dict[str, Any]:
    try:
        problem = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return problem if isinstance(problem, dict) else {"detail": str(problem)}


def _told(error: "ErrorDetails") -> str:
    """What is wrong with a value, the value, and the name that was meant perhaps."""
    given, expected = error["input"], error.get("ctx", {}).get("expected")
    if isinstance(given, str) and isinstance(expected, str):
        names = re.findall(r"'([^']*)'", expected)
        near = get_close_matches(given, names, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"it may be {', '.join(names)}"
        return f"there is no {given[:100]!r}; {meant}"
    said = wording(error)
    return f"{said} (got {given})" if isinstance(given, int | float) else said


def _fields(errors: Any) -> list[FieldProblem]:
    listed = errors if isinstance(errors, list) else []
    return [
        FieldProblem(str(each.get("field", "")), str(each.get("message", "")))
        for each in listed
        if isinstance(each, dict)
    ]
