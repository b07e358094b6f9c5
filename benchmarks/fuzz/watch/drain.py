"""Takes the jobs away again that the calls make, so that the queue never fills and most calls cost little."""

import heapq
import json
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

import httpx
from httpx_sse import connect_sse

LOOK_EVERY_S = 0.05
_RETRY_S = 0.2
_PAGE = 200


class Drain:
    """Within the block every job is canceled some time after it was queued, as ``GET /v1/events`` tells.

    Args:
        url: of the service.
        allowed_s: how long a job may take; half a second is enough for a small one to succeed.
    """

    def __init__(self, url: str, allowed_s: float) -> None:
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=30)
        self._allowed_s = allowed_s
        self._due: list[tuple[float, str]] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        for work in (self._listen, self._cancel_due):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()

    def empty(self) -> None:
        """Delete every job, so that Redis and the store do not grow from one part of a run to the next."""
        with suppress(httpx.HTTPError, KeyError):  # a service that does not answer is told of elsewhere
            while jobs := self._http.get("/v1/jobs", params={"limit": _PAGE}).json()["data"]:
                for job in jobs:
                    self._http.delete(f"/v1/jobs/{job['id']}")

    def _listen(self) -> None:
        while not self._stop.is_set():
            with suppress(httpx.HTTPError):
                self._follow()
            self._stop.wait(_RETRY_S)

    def _follow(self) -> None:
        with connect_sse(self._http, "GET", "/v1/events") as stream:
            for event in stream.iter_sse():
                if self._stop.is_set():
                    return
                if event.event == "queued":
                    with self._lock:
                        due = (time.monotonic() + self._allowed_s, json.loads(event.data)["job_id"])
                        heapq.heappush(self._due, due)

    def _cancel_due(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            for job_id in self._taken():
                with suppress(httpx.HTTPError):
                    self._http.post(f"/v1/jobs/{job_id}/cancel")

    def _taken(self) -> list[str]:
        with self._lock:
            now, taken = time.monotonic(), []
            while self._due and self._due[0][0] <= now:
                taken.append(heapq.heappop(self._due)[1])
            return taken
