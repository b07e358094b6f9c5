"""The filters of jobs: what a list and a call for many jobs have in common."""

import re
from datetime import UTC, datetime
from typing import Annotated, get_args

from fastapi import Query
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.api.services import TheServices
from jobs import errors
from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError, LodestarError, UnknownModelError
from jobs.queue.listing.pages import CURSOR
from jobs.queue.listing.wanted import Asked
from jobs.requests.tasks import JobKind
from jobs.status.job import JobStatus
from jobs.wire import MAX_ID_CHARS, AtMost, Label, SearchText

ERROR_TYPES = sorted(
    {
        each.type
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, LodestarError) and each is not LodestarError
    }
)


_NUMBER = re.compile(r"\s*[+-]?[0-9_.]+([eE][+-]?[0-9]+)?\s*")


def _known_type(name: str) -> str:
    if name not in ERROR_TYPES:
        *most, last = (repr(each) for each in ERROR_TYPES)
        raise PydanticCustomError(
            "enum", "Input should be {expected}", {"expected": f"{', '.join(most)} or {last}"}
        )
    return name


def _as_text(moment: object) -> object:
    # Pydantic takes a number for seconds or for milliseconds since 1970, whichever it looks like.
    if isinstance(moment, int | float) or (isinstance(moment, str) and _NUMBER.fullmatch(moment)):
        raise PydanticCustomError("datetime_type", "Input should be a time in ISO 8601: 2026-11-27T09:00:00Z")
    return moment


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("in UTC it is before the year 1 or after the year 9999") from error


Statuses = Annotated[tuple[JobStatus, ...], AtMost(len(JobStatus))]
Kinds = Annotated[tuple[JobKind, ...], AtMost(len(get_args(JobKind)))]
ModelId = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]
ErrorType = Annotated[
    str, AfterValidator(_known_type), WithJsonSchema({"type": "string", "enum": ERROR_TYPES})
]
Caller = Annotated[str, Field(pattern="^([0-9a-f]{8}|anonymous)$")]
Moment = Annotated[datetime, BeforeValidator(_as_text), AfterValidator(_in_utc)]
Cursor = Annotated[str, WithJsonSchema({"type": "string", "pattern": CURSOR})]

TEXT = "Only jobs whose prompt has this text, in upper or lower case."
MODEL = "Only jobs of this model of the catalog, or tasks of this CLIP."
ERROR = "Only jobs that failed with an error of this type."
CALLER = "Only jobs of this caller, as `caller` of a job names it; `anonymous` for those without a name."
SINCE = "Only jobs submitted then or later, in ISO 8601; in UTC if it names no offset."
UNTIL = "Only jobs submitted before, likewise."
LABEL = "Only jobs that have this label."
_EARLIER, _LATER = ["2026-11-27T09:00:00Z"], ["2026-11-28T09:00:00Z"]


def narrowed(
    services: TheServices,
    label: Annotated[Label | None, Query(description=LABEL, examples=["sweep-7"])] = None,
    kind: Annotated[
        Kinds,
        Query(description="Only jobs of this kind; give it again for another one.", examples=[["generate"]]),
    ] = (),
    q: Annotated[SearchText | None, Query(description=TEXT, examples=["lighthouse"])] = None,
    model: Annotated[ModelId | None, Query(description=MODEL, examples=["pocket"])] = None,
    caller: Annotated[Caller | None, Query(description=CALLER, examples=["2bd806c9"])] = None,
    since: Annotated[Moment | None, Query(description=SINCE, examples=_EARLIER)] = None,
    until: Annotated[Moment | None, Query(description=UNTIL, examples=_LATER)] = None,
) -> Asked:
    """What the filters in a query ask for.

    Raises:
        UnknownModelError: the catalog has no such model or CLIP.
        InvalidRequestError: no time is since one and until the other.
    """
    return asked(
        services.catalog,
        label=label,
        kinds=kind,
        text=q,
        model=model,
        caller=caller,
        since=since,
        until=until,
    )


def asked(catalog: Catalog, **filters: object) -> Asked:
    """The same of filters however they came; raises likewise."""
    wanted: Asked = filters  # type: ignore[assignment]
    model, since, until = wanted.get("model"), wanted.get("since"), wanted.get("until")
    known = [card.id for card in (*catalog.models, *catalog.clips)]
    if model is not None and model not in known:
        raise UnknownModelError(
            f"{model!r} is not in the catalog; it holds: {', '.join(known)}", field="model"
        )
    if since is not None and until is not None and until <= since:
        raise InvalidRequestError("until must be later than since", field="until")
    return wanted
