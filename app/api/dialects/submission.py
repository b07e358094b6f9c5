"""From the fields of a dialect to a job. Errors name a field as the dialect does."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from pydantic import ValidationError

from app.api.access.caller import caller_of
from app.api.intake.submission import submit_job
from app.api.problems.validation import Place, in_body
from jobs.errors import LodestarError
from jobs.queue.submission import NATIVE, Presentation, Submission
from jobs.requests.request import GenerateRequest


def native_request(fields: Mapping[str, Any], names: Mapping[str, str]) -> GenerateRequest:
    """The native request of these fields.

    Args:
        fields: values by their native names.
        names: the dialect's name of every native field that it calls otherwise, as ``size`` or ``init.image``.

    Raises:
        RequestValidationError: a field has a value that cannot be served.
    """
    try:
        return GenerateRequest.model_validate(dict(fields))
    except ValidationError as error:
        raise in_body(error, lambda place: _named(place, names)) from error


async def submit(
    request: Request,
    wanted: GenerateRequest,
    names: Mapping[str, str],
    idempotency_key: str | None,
    *,
    key_owner: str | None = None,
    presentation: Presentation = NATIVE,
) -> Submission:
    """Queue the job of a native request.

    Args:
        request: of the client.
        wanted: the native request.
        names: the dialect's name of every native field that it calls otherwise.
        idempotency_key: as for ``JobQueue.submit``.
        key_owner: likewise.
        presentation: how answers show the job.

    Raises:
        LodestarError: as for ``submit_job``.
    """
    try:
        return await submit_job(
            request,
            wanted,
            idempotency_key,
            caller_of(request),
            key_owner=key_owner,
            presentation=presentation,
        )
    except LodestarError as error:
        named = _renamed(error.field, names)
        raise type(error)(error.message, field=named, retry_after_s=error.retry_after_s) from error


def _named(place: Place, names: Mapping[str, str]) -> Place:
    """A place by the dialect's name of it, or else of the field that it is in."""
    for length in range(len(place), 0, -1):
        if known := names.get(".".join(map(str, place[:length]))):
            return (known, *place[length:])
    return place


def _renamed(field: str | None, names: Mapping[str, str]) -> str | None:
    return None if field is None else ".".join(map(str, _named(tuple(field.split(".")), names)))
