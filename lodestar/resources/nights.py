"""The nights of a service, for both clients."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from jobs.status.night import Night
from lodestar.generation import PATIENCE_S
from lodestar.http import calls, nights
from lodestar.http.calls import Prompt
from lodestar.http.transport import AsyncTransport, Transport
from lodestar.picture import Picture


class Nights:
    """Nights: one request drawn until a time is over, of which the best pictures are kept. The server does it."""

    def __init__(self, transport: Transport) -> None:
        """Made by Client."""
        self._transport = transport

    def begin(
        self,
        prompt: Prompt,
        *,
        hours: float,
        keep: int | str = "5%",
        by: str = "clip",
        scorer: str | None = None,
        upscale: bool = True,
        **fields: Any,
    ) -> Night:
        """Begin a night; it goes on without this program.

        Args:
            prompt: or a whole request.
            hours: to draw in.
            keep: how many pictures are kept: a number, or a share such as ``5%``.
            by: the score that ranks, ``clip`` or ``aesthetic``.
            scorer: id of the CLIP that scores; the first that does not guide if None.
            upscale: whether those that are kept in the end are enlarged by 4.
            fields: of the request, as for ``Client.generate``.
        """
        options = calls.given(hours=hours, keep=keep, by=by, scorer=scorer, upscale=upscale)
        return self._transport.run(nights.begin(calls.request_of(prompt, fields), options))

    def get(self, night_id: str) -> Night:
        """The night now, with its race."""
        return self._transport.run(nights.get(night_id))

    def list(self) -> tuple[Night, ...]:
        """The newest nights, without what is long of them."""
        return self._transport.run(nights.listed())

    def finish(self, night_id: str) -> Night:
        """End the time to draw in now; the best are then enlarged. The night after that."""
        return self._transport.run(nights.act(night_id, "finish"))

    def cancel(self, night_id: str) -> Night:
        """Draw and enlarge nothing more; what is kept so far stays. The night after that."""
        return self._transport.run(nights.act(night_id, "cancel"))

    def delete(self, night_id: str) -> None:
        """Delete a night and its pictures."""
        self._transport.run(calls.delete(nights.path(night_id)))

    def wait(
        self,
        night_id: str,
        *,
        on_look: Callable[[Night], object] | None = None,
        timeout_s: float | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Night:
        """The night once it has ended, however it did.

        Args:
            night_id: of the night.
            on_look: called with the night at each look.
            timeout_s: how long to wait in all; None for as long as it takes.
            patience_s: how long the server may be away in between, since the night goes on without it.

        Raises:
            WaitTimeoutError: ``timeout_s`` is over.
        """
        flow = nights.wait(night_id, on_look, calls.patience(timeout_s), patience_s)
        return self._transport.run(flow)

    def pictures(self, night: Night | str) -> Iterator[Picture]:
        """The pictures that a night keeps now, best first, fetched one after the other."""
        found = self.get(night) if isinstance(night, str) else night
        for kept in found.kept:
            yield self._transport.run(nights.picture(kept.job_id))


class AsyncNights:
    """As ``Nights``, to be awaited."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Made by AsyncClient."""
        self._transport = transport

    async def begin(
        self,
        prompt: Prompt,
        *,
        hours: float,
        keep: int | str = "5%",
        by: str = "clip",
        scorer: str | None = None,
        upscale: bool = True,
        **fields: Any,
    ) -> Night:
        """Begin a night; it goes on without this program.

        Args:
            prompt: or a whole request.
            hours: to draw in.
            keep: how many pictures are kept: a number, or a share such as ``5%``.
            by: the score that ranks, ``clip`` or ``aesthetic``.
            scorer: id of the CLIP that scores; the first that does not guide if None.
            upscale: whether those that are kept in the end are enlarged by 4.
            fields: of the request, as for ``Client.generate``.
        """
        options = calls.given(hours=hours, keep=keep, by=by, scorer=scorer, upscale=upscale)
        return await self._transport.run(nights.begin(calls.request_of(prompt, fields), options))

    async def get(self, night_id: str) -> Night:
        """The night now, with its race."""
        return await self._transport.run(nights.get(night_id))

    async def list(self) -> tuple[Night, ...]:
        """The newest nights, without what is long of them."""
        return await self._transport.run(nights.listed())

    async def finish(self, night_id: str) -> Night:
        """End the time to draw in now; the best are then enlarged. The night after that."""
        return await self._transport.run(nights.act(night_id, "finish"))

    async def cancel(self, night_id: str) -> Night:
        """Draw and enlarge nothing more; what is kept so far stays. The night after that."""
        return await self._transport.run(nights.act(night_id, "cancel"))

    async def delete(self, night_id: str) -> None:
        """Delete a night and its pictures."""
        await self._transport.run(calls.delete(nights.path(night_id)))

    async def wait(
        self,
        night_id: str,
        *,
        on_look: Callable[[Night], object] | None = None,
        timeout_s: float | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Night:
        """The night once it has ended, however it did.

        Args:
            night_id: of the night.
            on_look: called with the night at each look.
            timeout_s: how long to wait in all; None for as long as it takes.
            patience_s: how long the server may be away in between, since the night goes on without it.

        Raises:
            WaitTimeoutError: ``timeout_s`` is over.
        """
        flow = nights.wait(night_id, on_look, calls.patience(timeout_s), patience_s)
        return await self._transport.run(flow)

    async def pictures(self, night: Night | str) -> AsyncIterator[Picture]:
        """The pictures that a night keeps now, best first, fetched one after the other."""
        found = await self.get(night) if isinstance(night, str) else night
        for kept in found.kept:
            yield await self._transport.run(nights.picture(kept.job_id))
