"""The calls about jobs, and those that only read, as flows."""

import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from jobs.requests.request import GenerateRequest
from jobs.status import links
from jobs.status.job import Job
from jobs.status.models import (
    AdapterInfo,
    AdapterList,
    ControlInfo,
    ControlList,
    ImagePromptInfo,
    ImagePromptList,
    ModelInfo,
    ModelList,
    TextualInversionInfo,
    TextualInversionList,
)
from jobs.status.night import Night
from jobs.status.workers import QueueInfo, WorkerInfo, WorkerList
from lodestar.errors import PASSING, WaitTimeoutError, invalid_request
from lodestar.http.flow import Call, Flow, Pause, parsed, stranger
from lodestar.inputs import with_files_inline

FIRST_LOOK_S = 0.1
SLOWEST_LOOK_S = 1.0

Prompt = str | GenerateRequest
Ending = TypeVar("Ending", Job, Night)


def requests_of(prompt: Prompt | Sequence[Prompt], fields: Mapping[str, Any]) -> list[GenerateRequest]:
    """The requests of one or more prompts, all with the same further fields; raises as ``request_of``."""
    prompts = [prompt] if isinstance(prompt, str | GenerateRequest) else prompt
    return [request_of(each, fields) for each in prompts]


def request_of(prompt: Prompt | None, fields: Mapping[str, Any]) -> GenerateRequest:
    """The request of a prompt, unless the fields have it, and further fields.

    Raises:
        InvalidRequestError: a field is unknown or out of its bounds.
        NotReadableError: a picture in a field cannot be read.
    """
    given = with_files_inline(fields)
    if isinstance(prompt, GenerateRequest):
        given = {**prompt.model_dump(mode="json", exclude_unset=True), **given}
    elif prompt is not None:
        given["prompt"] = prompt
    try:
        return GenerateRequest.model_validate(given)
    except ValidationError as error:
        raise invalid_request(error) from error


def submit(request: GenerateRequest) -> Flow[Job]:
    """Queue a job. Its key is the call's own, so that a repetition draws nothing twice."""
    options = {
        "json": request.model_dump(mode="json", exclude_unset=True),
        "headers": {"Idempotency-Key": uuid.uuid4().hex},
    }
    return parsed(Job, (yield Call("POST", "/v1/jobs", options)))


def quote_of(request: GenerateRequest) -> Flow[dict[str, Any]]:
    """What a job would cost."""
    options = {"json": request.model_dump(mode="json", exclude_unset=True)}
    return document((yield Call("POST", "/v1/quote", options)))


def get_job(job_id: str) -> Flow[Job]:
    """The job now."""
    return parsed(Job, (yield Call("GET", job_path(job_id))))


def cancel_job(job_id: str) -> Flow[Job]:
    """Cancel; the job after that."""
    return parsed(Job, (yield Call("POST", job_path(job_id) + "/cancel")))


def retry_job(job_id: str) -> Flow[Job]:
    """Queue a new job of the same request; that job. A repetition of the call queues no other."""
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    return parsed(Job, (yield Call("POST", job_path(job_id) + "/retry", {"headers": headers})))


def prioritize_job(job_id: str, priority: str) -> Flow[Job]:
    """Change the priority of a waiting job; the job after that."""
    call = Call("POST", job_path(job_id) + "/prioritize", {"json": {"priority": priority}})
    return parsed(Job, (yield call))


def delete(path: str) -> Flow[None]:
    """Delete what has this path."""
    yield Call("DELETE", path)


def content(path: str, accept: str = "*/*") -> Flow[bytes]:
    """The file at this path."""
    data: bytes = (yield Call("GET", path, {"headers": {"Accept": accept}})).content
    return data


def picture_file(job_id: str, index: int) -> Flow[bytes]:
    """A job's picture, as PNG."""
    return (yield from content(f"{job_path(job_id)}/images/{index}", "image/png"))


def wait(
    job_id: str, on_look: Callable[[Job], object] | None, timeout_s: float, patience_s: float
) -> Flow[Job]:
    """Poll a job until it is finished; the finished job.

    Raises:
        WaitTimeoutError: ``timeout_s`` is over.
    """
    look = Call("GET", job_path(job_id), is_single=True)
    return (yield from watched(look, Job, f"job {job_id}", on_look, timeout_s, patience_s))


def watched(
    look: Call,
    model: type[Ending],
    name: str,
    on_look: Callable[[Ending], object] | None,
    timeout_s: float,
    patience_s: float,
) -> Flow[Ending]:
    """Look again and again until what is seen has ended; raises as ``wait``."""
    last_seen = time.monotonic()
    end = last_seen + timeout_s
    pause_s = FIRST_LOOK_S
    while True:
        try:
            seen = parsed(model, (yield look))
            last_seen = time.monotonic()
            if on_look is not None:
                on_look(seen)
            if seen.status.is_terminal:
                return seen
        except PASSING as error:
            # It goes on without its server.
            if time.monotonic() - last_seen > patience_s:
                raise
            pause_s = max(pause_s, getattr(error, "retry_after_s", None) or 0.0)
        if time.monotonic() >= end:
            raise WaitTimeoutError(f"{name} is not finished after {timeout_s:g} s; it goes on")
        yield Pause(min(pause_s, max(0.0, end - time.monotonic())))
        pause_s = min(SLOWEST_LOOK_S, pause_s * 1.2)


def raw(call: Call) -> Flow[httpx.Response]:
    """Any call; its answer."""
    response: httpx.Response = yield call
    return response


def list_models() -> Flow[tuple[ModelInfo, ...]]:
    """The models."""
    return parsed(ModelList, (yield Call("GET", "/v1/models"))).data


def list_adapters() -> Flow[tuple[AdapterInfo, ...]]:
    """The adapters."""
    return parsed(AdapterList, (yield Call("GET", "/v1/adapters"))).data


def list_inversions() -> Flow[tuple[TextualInversionInfo, ...]]:
    """The textual inversions."""
    return parsed(TextualInversionList, (yield Call("GET", "/v1/textual-inversions"))).data


def list_controls() -> Flow[tuple[ControlInfo, ...]]:
    """The ControlNets."""
    return parsed(ControlList, (yield Call("GET", "/v1/controls"))).data


def list_image_prompts() -> Flow[tuple[ImagePromptInfo, ...]]:
    """The image prompt adapters."""
    return parsed(ImagePromptList, (yield Call("GET", "/v1/image-prompts"))).data


def list_workers() -> Flow[tuple[WorkerInfo, ...]]:
    """The workers."""
    return parsed(WorkerList, (yield Call("GET", "/v1/workers"))).data


def change_worker(name: str, action: str) -> Flow[WorkerInfo]:
    """Drain or resume a worker; the worker after that."""
    return parsed(WorkerInfo, (yield Call("POST", f"/v1/workers/{quote(name, safe='')}/{action}")))


def get_queue() -> Flow[QueueInfo]:
    """The numbers of jobs and workers."""
    return parsed(QueueInfo, (yield Call("GET", "/v1/queue")))


def described(path: str, params: Mapping[str, Any] | None = None) -> Flow[dict[str, Any]]:
    """The document at this path, as JSON."""
    return document((yield Call("GET", path, {"params": dict(params or {})})))


def document(response: Any) -> dict[str, Any]:
    """The JSON object of an answer."""
    try:
        found = response.json()
    except ValueError as error:
        raise stranger(response) from error
    if not isinstance(found, dict):
        raise stranger(response)
    return found


def job_path(job_id: str) -> str:
    """Path of a job, whatever its id is."""
    return links.job(quote(job_id, safe=""))


def given(**fields: Any) -> dict[str, Any]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def patience(timeout_s: float | None) -> float:
    """Seconds, where None is for ever."""
    return math.inf if timeout_s is None else timeout_s
