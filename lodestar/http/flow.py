"""The client's work, written once for both clients: a flow yields its steps, and a client takes them.

A flow is a generator. It yields a ``Call`` and is sent the answer, or has the error thrown in; it yields a ``Pause``
and goes on after it. It returns the result. The clients differ in how they take a step: one blocks, one awaits.
"""

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from lodestar.errors import RefusedError, ServerUnreachableError, error_of
from lodestar.http.retries import Retries

Answer = TypeVar("Answer", bound=BaseModel)
T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """One request, which is tried again where that is safe.

    Attributes:
        method: of HTTP.
        path: below the server's address.
        options: of httpx.
        is_repeatable: whether the server does it once however often it comes.
        is_single: whether the flow itself decides about another try.
    """

    method: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    is_repeatable: bool = True
    is_single: bool = False


@dataclass(frozen=True)
class Attempt:
    """A call sent once; the flow is sent the answer, whatever it is, or the error of the transport."""

    call: Call


@dataclass(frozen=True)
class Pause:
    """A wait."""

    seconds: float


Step = Call | Attempt | Pause
Flow = Generator[Step, Any, T]


def attempts(call: Call, retries: Retries, url: str) -> Flow[httpx.Response]:
    """Try a call until the server has taken it; its answer, which is a success.

    Raises:
        ServerUnreachableError: there is no server at ``url``.
        ApiError: the server answers with an error.
    """
    tried = 0
    while True:
        outcome: httpx.Response | Exception = yield Attempt(call)
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            retries.succeeded()
            return outcome
        wait_s = None
        if not call.is_single:
            wait_s = retries.wait_s(outcome, tried, is_repeatable=call.is_repeatable)
        if wait_s is None:
            if isinstance(outcome, httpx.Response):
                raise error_of(outcome)
            raise unreachable(url, outcome) from outcome
        yield Pause(wait_s)
        tried += 1


def unreachable(url: str, error: Exception) -> ServerUnreachableError:
    """The error of a server that does not answer."""
    said = re.sub(r"^\[Errno -?\d+\] ", "", str(error)).lower() or type(error).__name__
    return ServerUnreachableError(f"there is no server at {url} ({said}); start one with: lodestar up")


def parsed(model: type[Answer], response: httpx.Response) -> Answer:
    """Parse an answer of a known form.

    Raises:
        RefusedError: it has another form.
    """
    try:
        # A newer server may send fields that this version does not know.
        return model.model_validate_json(response.content, extra="ignore")
    except ValidationError as error:
        raise stranger(response) from error


def stranger(response: httpx.Response) -> RefusedError:
    """The error of an answer that has no form of ours."""
    url, status = response.request.url, response.status_code
    return RefusedError(f"{url} does not answer as a lodestar server does", status=status)
