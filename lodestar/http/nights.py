"""The calls about nights, as flows."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from jobs.requests.request import GenerateRequest
from jobs.status import links
from jobs.status.job import Job
from jobs.status.night import Night, NightList, NightRequest
from lodestar.errors import invalid_request
from lodestar.http import calls
from lodestar.http.flow import Call, Flow, parsed
from lodestar.picture import Picture, picture_of


def begin(request: GenerateRequest, options: Mapping[str, Any]) -> Flow[Night]:
    """Begin a night. Its key is the call's own, so that a repetition begins no other."""
    try:
        wanted = NightRequest.model_validate({"request": request, **options})
    except ValidationError as error:
        raise invalid_request(error) from error
    sent = {
        "json": wanted.model_dump(mode="json", exclude_unset=True),
        "headers": {"Idempotency-Key": uuid.uuid4().hex},
    }
    return parsed(Night, (yield Call("POST", "/v1/nights", sent)))


def get(night_id: str) -> Flow[Night]:
    """The night now."""
    return parsed(Night, (yield Call("GET", path(night_id))))


def listed() -> Flow[tuple[Night, ...]]:
    """The nights, newest first."""
    return parsed(NightList, (yield Call("GET", "/v1/nights"))).data


def act(night_id: str, action: str) -> Flow[Night]:
    """Finish or cancel; the night after that."""
    return parsed(Night, (yield Call("POST", f"{path(night_id)}/{action}")))


def wait(
    night_id: str, on_look: Callable[[Night], object] | None, timeout_s: float, patience_s: float
) -> Flow[Night]:
    """Poll a night until it has ended; raises as for jobs."""
    look = Call("GET", path(night_id), is_single=True)
    return (yield from calls.watched(look, Night, f"night {night_id}", on_look, timeout_s, patience_s))


def picture(job_id: str) -> Flow[Picture]:
    """The picture of a night's job."""
    job: Job = yield from calls.get_job(job_id)
    return picture_of(job, 0, (yield from calls.picture_file(job_id, 0)))


def path(night_id: str) -> str:
    """Path of a night, whatever its id is."""
    return links.night(quote(night_id, safe=""))
