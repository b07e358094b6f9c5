"""The intake of every route: it admits the sender, our readers parse queries and bodies, FastAPI gets their results."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response, params
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import FormData, QueryParams
from starlette.types import Scope

from app.api.access.keys.admission import admit
from app.api.access.keys.needs import need_of
from app.api.intake.bodies import read_object
from app.api.intake.forms import lenient_pairs, read_upload
from app.api.intake.later_errors import with_later_errors
from app.api.problems.allowances import tell_allowances
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Content = dict[str, Any] | FormData | None


def operation_id(route: APIRoute) -> str:
    """The name of a route's function in clients that are generated, such as ``createJob``."""
    first, *further = route.name.split("_")
    return first + "".join(word.capitalize() for word in further)


class IntakeRoute(APIRoute):
    """The ``route_class`` of every router: nobody reaches a route unadmitted, and no body FastAPI's unbounded parsers.

    A route's function declares what it needs: see ``app/api/access/keys/needs.py``. Errors of admission and of the
    readers are answered as any other error.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """As any route, but for the name of its operation."""
        super().__init__(*args, **{**options, "generate_unique_id_function": operation_id})

    def get_route_handler(self) -> Handler:
        """Admit the sender, then read, then do as before."""
        need, known = need_of(self.endpoint), self._query_fields()
        handle, field = super().get_route_handler(), self.body_field
        read: Callable[[Request], Coroutine[Any, Any, Content]] = _nothing
        if field is not None:
            read = read_upload if isinstance(field.field_info, params.Form) else read_object

        async def read_and_handle(request: Request) -> Response:
            await admit(request, need)
            if known is not None:
                _require_known(request, known)
            content = await read(request)
            try:
                response = await handle(_Read(request, content))
            except RequestValidationError as error:
                if field is None or field.field_info.annotation is not GenerateRequest:
                    raise
                raise with_later_errors(error, request, dict(content or {})) from error
            tell_allowances(request, response)
            return response

        return read_and_handle

    def _query_fields(self) -> frozenset[str] | None:
        """The fields of a query that this route takes; None if it takes any."""
        return None


class OwnRoute(IntakeRoute):
    """The ``route_class`` of our own API, which refuses unknown fields of a query as it refuses those of a body.

    Clients of a dialect may send more than its routes take.
    """

    def _query_fields(self) -> frozenset[str] | None:
        return frozenset(_query_fields(self.dependant))


def _query_fields(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _query_fields(inner)


def _require_known(request: Request, known: frozenset[str]) -> None:
    """Refuse a query with a field that is not known.

    Raises:
        InvalidRequestError: it has one.
    """
    for name in request.query_params:
        if name not in known:
            some = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
            raise InvalidRequestError(f"this call has no such field in its query; {some}", field=name[:100])


async def _nothing(_: Request) -> None:
    """Leave the body alone."""


class _Read(Request):
    """A request with its body read already, if its route declares one; else the endpoint reads it."""

    def __init__(self, request: Request, content: Content) -> None:
        super().__init__(
            _as_json(request.scope) if isinstance(content, dict) else request.scope, request.receive
        )
        self._request = request
        self._content = content
        self._query: QueryParams | None = None
        if isinstance(content, FormData):
            self._form = content

    @property
    def query_params(self) -> QueryParams:
        """The query, read as UTF-8 even if it is not escaped."""
        if self._query is None:
            self._query = QueryParams(lenient_pairs(self.scope["query_string"]))
        return self._query

    async def body(self) -> bytes:
        return await self._request.body()

    async def json(self) -> Any:
        """The JSON object in the body."""
        return self._content


def _as_json(scope: Scope) -> Scope:
    """The same request, its body announced as what it was read as."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    return {**scope, "headers": [*headers, (b"content-type", b"application/json")]}
