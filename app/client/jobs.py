"""A small client of the native API."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from httpx_sse import ServerSentEvent, SSEError, connect_sse
from pydantic import BaseModel, ValidationError

from jobs.errors import LodestarError
from jobs.requests.request import GenerateRequest
from jobs.status.job import Job, JobPage

Answer = TypeVar("Answer", bound=BaseModel)

FIRST_LOOK_S = 0.1
SLOWEST_LOOK_S = 1.0
SILENCE_S = 60.0  # of a stream, whose server sends something every 15 s


class ServerUnreachableError(LodestarError):
    """There is no server at the address, or it is gone."""

    type = "server_unreachable"


class ServerUnavailableError(LodestarError):
    """The server answers that it is unavailable."""

    type = "server_unavailable"


class RefusedError(LodestarError):
    """The server refuses the request; the message has its reason."""

    type = "refused"


class WaitTimeoutError(LodestarError):
    """The job is not finished within the time that the caller wanted to wait; it goes on."""

    type = "wait_timeout"


@dataclass(frozen=True)
class StreamedEvent:
    """One event of a stream, as ``GET /v1/events`` documents them."""

    name: str
    data: dict[str, Any]


class Client:
    """Submits jobs and fetches their results.

    All methods raise ServerUnreachableError, ServerUnavailableError or RefusedError.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout_s: float = 30.0) -> None:
        """Make one; it sends the key, if any, with every request."""
        self.url = url.rstrip("/")
        # A proxy from the environment is meant for other machines.
        is_local = httpx.URL(self.url).host in {"127.0.0.1", "localhost", "::1"}
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(
            base_url=self.url, timeout=timeout_s, trust_env=not is_local, headers=headers
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def submit(self, request: GenerateRequest) -> Job:
        """Queue a job; the job with its seed and every default filled in."""
        body = request.model_dump(mode="json", exclude_unset=True)
        return _job(self.call("POST", "/v1/jobs", json=body))

    def get(self, job_id: str) -> Job:
        """The job now."""
        return _job(self.call("GET", _path(job_id)))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job; the job after that. A repeated or late cancel changes nothing."""
        return _job(self.call("POST", _path(job_id) + "/cancel"))

    def list(self, *, status: str | None = None, cursor: str | None = None, limit: int = 50) -> JobPage:
        """One page of jobs, newest first; ``limit`` is at most 200."""
        wanted = {"status": status, "cursor": cursor, "limit": limit}
        params = {name: value for name, value in wanted.items() if value is not None}
        return read_answer(JobPage, self.call("GET", "/v1/jobs", params=params))

    def models(self) -> tuple[dict[str, Any], ...]:
        """The models with their limits and defaults, as in ``GET /v1/models``."""
        return tuple(self.call("GET", "/v1/models").json()["data"])

    def events(
        self,
        job_id: str | None = None,
        *,
        patience_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Iterator[StreamedEvent]:
        """The events of a job, from a snapshot to its end; or of all jobs, without end.

        Args:
            job_id: None follows all jobs.
            patience_s: how long the server may be away in between; nothing is missed or told twice.
            sleep: waits before another try.
        """
        path = "/v1/events" if job_id is None else f"{_path(job_id)}/events"
        last_id, last_seen = "", -math.inf
        while True:
            try:
                headers = {"Last-Event-ID": last_id} if last_id else {}
                for event in self._stream(path, headers):
                    last_id, last_seen = event.id or last_id, time.monotonic()
                    if not event.data:  # no event, but how long to wait before another try
                        continue
                    yield StreamedEvent(event.event, json.loads(event.data))
                    if job_id is not None and event.event in {"done", "deleted"}:
                        return
            except (ServerUnreachableError, ServerUnavailableError):
                if time.monotonic() - last_seen > patience_s:
                    raise
            sleep(SLOWEST_LOOK_S)

    def image(self, job_id: str, index: int) -> bytes:
        """One finished picture, as a PNG file."""
        return self.call("GET", f"{_path(job_id)}/images/{index}", headers={"Accept": "image/png"}).content

    def wait(
        self,
        job_id: str,
        *,
        on_look: Callable[[Job], None] | None = None,
        timeout_s: float = float("inf"),
        patience_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Job:
        """Poll a job until it is finished; the finished job.

        Args:
            job_id: of the job.
            on_look: called with the job after each poll.
            timeout_s: how long to wait in all.
            patience_s: how long the server may be away in between, since the job goes on without it.
            sleep: waits between two polls.

        Raises:
            WaitTimeoutError: ``timeout_s`` is over.
        """
        end = time.monotonic() + timeout_s
        last_seen = time.monotonic()
        pause_s = FIRST_LOOK_S
        while True:
            try:
                job = self.get(job_id)
                last_seen = time.monotonic()
                if on_look is not None:
                    on_look(job)
                if job.status.is_terminal:
                    return job
            except (ServerUnreachableError, ServerUnavailableError):
                if time.monotonic() - last_seen > patience_s:
                    raise
            if time.monotonic() >= end:
                raise WaitTimeoutError(f"job {job_id} is not finished after {timeout_s:g} s; it goes on")
            sleep(min(pause_s, max(0.0, end - time.monotonic())))
            pause_s = min(SLOWEST_LOOK_S, pause_s * 1.2)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request, with the options of httpx; its answer, which is a success."""
        try:
            response = self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        if response.is_success:
            return response
        raise _refusal(response)

    def _stream(self, path: str, headers: dict[str, str]) -> Iterator[ServerSentEvent]:
        """The events of one connection, as long as it lasts."""
        try:
            with connect_sse(self._http, "GET", path, headers=headers, timeout=SILENCE_S) as source:
                if not source.response.is_success:
                    source.response.read()
                    raise _refusal(source.response)
                yield from source.iter_sse()
        except SSEError as error:
            raise RefusedError(f"{self.url}{path} does not answer as a lodestar server does") from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> ServerUnreachableError:
        return ServerUnreachableError(
            f"there is no server at {self.url} ({error}); start one with: lodestar up"
        )


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _job(response: httpx.Response) -> Job:
    return read_answer(Job, response)


def read_answer(model: type[Answer], response: httpx.Response) -> Answer:
    """Parse an answer of a known form.

    Raises:
        RefusedError: it has another form.
    """
    try:
        # A newer server may send fields that this version does not know.
        return model.model_validate_json(response.content, extra="ignore")
    except ValidationError as error:
        raise RefusedError(f"{response.request.url} does not answer as a lodestar server does") from error


def _refusal(response: httpx.Response) -> ServerUnavailableError | RefusedError:
    message = _reason(response)
    is_passing = response.status_code in {502, 503, 504}
    return ServerUnavailableError(message) if is_passing else RefusedError(message)


def _reason(response: httpx.Response) -> str:
    """A problem document in one line, with the fields at fault."""
    try:
        problem = response.json()
    except json.JSONDecodeError:
        return f"{response.request.url} answers {response.status_code} {response.reason_phrase}"
    said = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
    return str(said or problem)
