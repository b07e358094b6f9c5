"""HTTP to addresses that callers name: each is checked, and the connection goes to the address that was checked."""

import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx

from app.api.addresses import AddressPolicy
from jobs.distribution import own_version

CONNECT_TIMEOUT_S = 5.0
# What ``GuardedHttp.send`` raises besides ``RefusedAddressError``; a name may be no name.
FAILURES = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError)
_Error = TypeVar("_Error", bound=BaseException)


class GuardedHttp:
    """A client that reaches no address but those of a policy, and follows no redirect."""

    def __init__(self, policy: AddressPolicy, *, timeout_s: float) -> None:
        """Open no connection yet.

        Args:
            policy: the addresses that may be reached.
            timeout_s: the longest silence of a server.
        """
        self._policy = policy
        # No connection outlives its message: one that was made for a name must not serve another at the same address.
        self._http = httpx.AsyncClient(
            verify=httpx.create_ssl_context(),
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    @asynccontextmanager
    async def send(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: str | None = None
    ) -> AsyncIterator[httpx.Response]:
        """The answer of a server, whose body is not read yet.

        The name is resolved once, and each of its addresses is tried: it may lead elsewhere a moment later.

        Raises:
            RefusedAddressError: the name leads to an address that may not be reached.
            HTTPError, InvalidURL, OSError, ValueError: there is no answer; see ``in_words``.
        """
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await self._policy.resolve(url.host, port)
        answer = await self._first_answer(addresses, method, url, headers, content)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def _first_answer(
        self,
        addresses: list[str],
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: str | None,
    ) -> httpx.Response:
        for remaining in range(len(addresses) - 1, -1, -1):
            request = self._http.build_request(
                method,
                url.copy_with(host=addresses[len(addresses) - 1 - remaining]),
                headers={
                    "User-Agent": f"lodestar/{own_version()}",
                    **headers,
                    "Host": url.netloc.decode("ascii"),
                },
                content=content,
                extensions={"sni_hostname": url.host, "timeout": self._http.timeout.as_dict()},
            )
            try:
                return await self._http.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if not remaining:
                    raise
        raise OSError("the name has no address")


def in_words(error: Exception, timeout_s: float) -> str:
    """An error of ``FAILURES`` in our words: its own may reveal the internal address of a name."""
    match error:
        case httpx.ConnectTimeout():
            return f"no connection within {CONNECT_TIMEOUT_S:g} s"
        case TimeoutError() | httpx.TimeoutException():
            return f"no answer within {timeout_s:g} s"
        case socket.gaierror() | ValueError() | httpx.InvalidURL():
            return "the name leads nowhere"
        case httpx.RemoteProtocolError():
            return "the answer was not HTTP"
        case httpx.ConnectError():
            tls = _cause(error, ssl.SSLError)
            return f"no connection: TLS failed with {tls.reason}" if tls else "no connection"
    return "the connection broke"


def _cause(error: BaseException | None, kind: type[_Error]) -> _Error | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
