"""Sends one signed message to one receiver, by Standard Webhooks (https://www.standardwebhooks.com)."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TypeVar

import httpx
from standardwebhooks import Webhook as Signer

from app.api.addresses import AddressPolicy, RefusedAddressError
from jobs.events.secrets import secret_of

TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
_Error = TypeVar("_Error", bound=BaseException)
_GONE = 410


class DeliveryError(Exception):
    """The receiver did not accept the message.

    Attributes:
        reason: in words for the caller: the error of the caller's own server, without any address but its name.
        detail: in words for the operator's log.
        is_final: whether a repetition is useless.
        is_silent: whether the host did not answer.
    """

    def __init__(
        self, reason: str, *, detail: str = "", is_final: bool = False, is_silent: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.is_final = is_final
        self.is_silent = is_silent


class Sender:
    """Posts messages, and reads only the status of an answer."""

    def __init__(self, secrets: Sequence[str], policy: AddressPolicy) -> None:
        """Sign with every secret, so that receivers can change from an old one to a new one at their own time."""
        self._secrets = tuple(secrets)
        self._policy = policy
        # No connection outlives its message: one that was made for a name must not serve another at the same address.
        self._http = httpx.AsyncClient(
            verify=httpx.create_ssl_context(),
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def send(self, url: str, message_id: str, body: str, tenant: str = "") -> None:
        """Deliver a message, signed for its tenant; the default one if that is empty.

        Raises:
            DeliveryError: it was not accepted.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await self._post(httpx.URL(url), self._signed(message_id, body, tenant), body)
        except RefusedAddressError as error:
            reason = "the name leads to an address that webhooks may not reach"
            raise DeliveryError(reason, detail=str(error), is_final=True) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:  # a name may be no name
            detail = f"{type(error).__name__}: {error}"[:300]
            raise DeliveryError(_in_words(error), detail=detail, is_silent=True) from error
        if not 200 <= status < 300:
            note = ", and redirects are not followed" if 300 <= status < 400 else ""
            raise DeliveryError(f"the receiver answered {status}{note}", is_final=status == _GONE)

    async def _post(self, url: httpx.URL, headers: dict[str, str], body: str) -> int:
        """Post to an address that was checked, and to no other that the name may lead to a moment later."""
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await self._policy.resolve(url.host, port)
        for remaining in range(len(addresses) - 1, -1, -1):
            address = addresses[len(addresses) - 1 - remaining]
            request = self._http.build_request(
                "POST",
                url.copy_with(host=address),
                headers={**headers, "Host": url.netloc.decode("ascii")},
                content=body,
                extensions={"sni_hostname": url.host, "timeout": self._http.timeout.as_dict()},
            )
            try:
                answer = await self._http.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if not remaining:
                    raise
                continue
            await answer.aclose()
            return answer.status_code
        raise OSError("the name has no address")

    def _signed(self, message_id: str, body: str, tenant: str) -> dict[str, str]:
        now = datetime.now(UTC)
        secrets = [secret_of(tenant, secret) for secret in self._secrets]
        signatures = [Signer(secret).sign(message_id, now, body) for secret in secrets]
        return {
            "Content-Type": "application/json",
            "User-Agent": f"lodestar/{version('lodestar')}",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }


def _in_words(error: Exception) -> str:
    """The error in our words: its own may reveal the internal address of a name."""
    match error:
        case httpx.ConnectTimeout():
            return f"no connection within {CONNECT_TIMEOUT_S:g} s"
        case TimeoutError() | httpx.TimeoutException():
            return f"no answer within {TIMEOUT_S:g} s"
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
