"""Takes the steps of flows: one transport blocks, the other awaits."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TypeVar

import httpx

from lodestar.errors import PASSING, ClientError, error_of
from lodestar.http.connection import address, http_options
from lodestar.http.flow import Call, Flow, Pause, Step, attempts, stranger, unreachable
from lodestar.http.retries import Retries
from lodestar.http.streams import MEDIA_TYPE, SILENCE_S, Reader, StreamedEvent

T = TypeVar("T")
# What httpx raises where there is no server, or no address.
GONE = (httpx.TransportError, httpx.InvalidURL)


class Transport:
    """Blocks until each step is taken."""

    def __init__(
        self,
        url: str | None,
        key: str | None,
        timeout_s: float,
        retries: int,
        sleep: Callable[[float], None] | None,
    ) -> None:
        """Connect to nothing yet."""
        self.url = address(url)
        self.http = httpx.Client(**http_options(self.url, key, timeout_s))
        self._retries = Retries(retries)
        self._sleep = sleep or time.sleep

    def run(self, flow: Flow[T]) -> T:
        """The flow's result."""
        resume: Callable[[], Step] = partial(next, flow)
        while True:
            try:
                step = resume()
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                resume = partial(flow.send, self._take(step))
            except ClientError as error:
                resume = partial(flow.throw, error)

    def _take(self, step: Step) -> object:
        if isinstance(step, Pause):
            return self._sleep(step.seconds)
        if isinstance(step, Call):
            return self.run(attempts(step, self._retries, self.url))
        try:
            return self.http.request(step.call.method, step.call.path, **step.call.options)
        except GONE as error:
            return error

    def events(self, reader: Reader) -> Iterator[StreamedEvent]:
        """Events until the final one, over as many connections as it takes."""
        while not reader.is_over:
            error: ClientError | None = None
            try:
                with self._stream(reader) as response:
                    for data in response.iter_bytes():
                        yield from reader.feed(data)
            except PASSING as gone:
                error = gone
            if not reader.is_over:
                self._sleep(reader.pause_s(error))

    @contextmanager
    def _stream(self, reader: Reader) -> Iterator[httpx.Response]:
        reader.connected()
        try:
            with self.http.stream("GET", reader.path, headers=reader.headers, timeout=SILENCE_S) as response:
                if not response.is_success:
                    response.read()
                check_stream(response)
                yield response
        except GONE as error:
            raise unreachable(self.url, error) from error


class AsyncTransport:
    """Awaits each step."""

    def __init__(
        self,
        url: str | None,
        key: str | None,
        timeout_s: float,
        retries: int,
        sleep: Callable[[float], Awaitable[None]] | None,
    ) -> None:
        """Connect to nothing yet."""
        self.url = address(url)
        self.http = httpx.AsyncClient(**http_options(self.url, key, timeout_s))
        self._retries = Retries(retries)
        self._sleep = sleep or asyncio.sleep

    async def run(self, flow: Flow[T]) -> T:
        """The flow's result."""
        resume: Callable[[], Step] = partial(next, flow)
        while True:
            try:
                step = resume()
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                resume = partial(flow.send, await self._take(step))
            except ClientError as error:
                resume = partial(flow.throw, error)

    async def _take(self, step: Step) -> object:
        if isinstance(step, Pause):
            await self._sleep(step.seconds)
            return None
        if isinstance(step, Call):
            return await self.run(attempts(step, self._retries, self.url))
        try:
            return await self.http.request(step.call.method, step.call.path, **step.call.options)
        except GONE as error:
            return error

    async def events(self, reader: Reader) -> AsyncIterator[StreamedEvent]:
        """Events until the final one, over as many connections as it takes."""
        while not reader.is_over:
            error: ClientError | None = None
            try:
                async with self._stream(reader) as response:
                    async for data in response.aiter_bytes():
                        for event in reader.feed(data):
                            yield event
            except PASSING as gone:
                error = gone
            if not reader.is_over:
                await self._sleep(reader.pause_s(error))

    @asynccontextmanager
    async def _stream(self, reader: Reader) -> AsyncIterator[httpx.Response]:
        reader.connected()
        try:
            async with self.http.stream(
                "GET", reader.path, headers=reader.headers, timeout=SILENCE_S
            ) as response:
                if not response.is_success:
                    await response.aread()
                check_stream(response)
                yield response
        except GONE as error:
            raise unreachable(self.url, error) from error


def check_stream(response: httpx.Response) -> None:
    """Refuse an answer that is no stream of events.

    Raises:
        ApiError: the server refuses, or is none of ours.
    """
    if not response.is_success:
        raise error_of(response)
    # 204: the final event was seen before.
    is_stream = response.headers.get("content-type", "").partition(";")[0] == MEDIA_TYPE
    if response.status_code != httpx.codes.NO_CONTENT and not is_stream:
        raise stranger(response)
