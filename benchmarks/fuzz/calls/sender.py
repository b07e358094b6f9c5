"""Sends requests of ours, and holds each answer against what is documented."""

import shlex
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.fuzz.findings.documented import Documented
from benchmarks.fuzz.findings.tally import Call, Finding, Tally

PATIENCE_S = 60.0
SLOW_S = 20.0  # nothing asks to wait for so long, and each job is canceled long before
MOST_REFUSED_BYTES = 64 << 10
_SHOWN_BYTES = 2000


class Sender:
    """A client that keeps a tally."""

    def __init__(self, url: str, documented: Documented, tally: Tally) -> None:
        self.url = url
        self.documented = documented
        self.tally = tally
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S)
        self._kept: Path | None = None

    def send(self, operation: str, path: str, about: str = "", **options: Any) -> httpx.Response | None:
        """Send one request.

        Args:
            operation: method and path as documented.
            path: the real one.
            about: what is special of the request, for people.
            options: of httpx' ``build_request``.

        Returns:
            The answer, None if there was none, or if the request cannot be sent by our client.
        """
        request = self._http.build_request(operation.partition(" ")[0], path, **options)
        at, start = time.time(), time.perf_counter()
        try:
            answer = self._whole(request)
        except httpx.LocalProtocolError:
            return None  # our own client does not send such a thing
        except httpx.HTTPError as error:
            answer, about = None, f"{about} ({type(error).__name__})"
        seconds = time.perf_counter() - start
        self.check(
            Call(at, seconds, operation, answer.status_code if answer else None), request, answer, about
        )
        return answer

    def _whole(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request; httpx' own time limits hold for each part of it, and an endless one has parts."""
        end = time.monotonic() + PATIENCE_S
        answer, parts = self._http.send(request, stream=True), []
        try:
            for part in answer.iter_bytes():
                parts.append(part)
                if time.monotonic() > end:
                    raise httpx.ReadTimeout("it does not end", request=request)
        finally:
            answer.close()
        return httpx.Response(answer.status_code, content=b"".join(parts), request=request)

    def send_endless(self, operation: str, path: str, about: str, **options: Any) -> None:
        """Send a request whose answer has no end, and read until the first bytes of it."""
        request = self._http.build_request(operation.partition(" ")[0], path, **options)
        at, start, status, part = time.time(), time.perf_counter(), None, b""
        try:
            answer = self._http.send(request, stream=True)
            status, part = answer.status_code, next(answer.iter_bytes(), b"")
            answer.close()
        except httpx.LocalProtocolError:
            return
        except httpx.HTTPError as error:
            about = f"{about} ({type(error).__name__})"
        said = None if status is None else httpx.Response(status, content=part)
        self.check(Call(at, time.perf_counter() - start, operation, status), request, said, about)

    def check(self, call: Call, request: httpx.Request, answer: httpx.Response | None, about: str) -> None:
        """Note a call, and what is wrong with its answer."""
        self.tally.calls.append(call)
        if fault := self.documented.fault_of(call.operation, call.status, answer.text if answer else ""):
            check, message = fault
            said = f": {answer.text[:300]}" if answer else ""
            self.found(check, call.operation, f"{about!r}: {message}{said}", request)
        if call.seconds > SLOW_S:
            self.found("slow answer", call.operation, f"{about!r}: {call.seconds:.0f} s", request)
        if answer and answer.is_error and len(answer.content) > MOST_REFUSED_BYTES:
            message = f"{about!r}: a refusal of {len(answer.content)} bytes"
            self.found("length of a refusal", call.operation, message, request)

    def found(self, check: str, operation: str, message: str, request: httpx.Request) -> None:
        """Note a finding, and how to repeat it."""
        finding = Finding(check, operation, message, "")
        if finding.kind not in self.tally.findings:
            finding.repeat = self._curl(request)
        self.tally.found(finding)

    def _curl(self, request: httpx.Request) -> str:
        own = {
            "host",
            "accept",
            "accept-encoding",
            "connection",
            "user-agent",
            "content-length",
            "transfer-encoding",
        }
        headers = [
            f"-H {shlex.quote(f'{name}: {value}')}"
            for name, value in request.headers.items()
            if name not in own or (name == "host" and value not in self.url)
        ]
        body = request.read()
        method = "--head" if request.method == "HEAD" else f"-X {request.method}"
        data = [f"--data-binary {self._data(body)}"] if body else []
        return " ".join(["curl -i", method, *headers, *data, shlex.quote(str(request.url))])

    def _data(self, body: bytes) -> str:
        """A body as curl takes it; a long one or one of bytes from a file that stays."""
        if len(body) <= _SHOWN_BYTES and body.isascii() and body.decode().isprintable():
            return shlex.quote(body.decode())
        if self._kept is None:
            self._kept = Path(tempfile.mkdtemp(prefix="lodestar-fuzz-"))
        file = self._kept / f"body-{len(list(self._kept.iterdir()))}"
        file.write_bytes(body)
        return f"@{file}"
