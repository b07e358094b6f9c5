"""Sends one signed message to one receiver, by Standard Webhooks (https://www.standardwebhooks.com)."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook as Signer

from app.api.addresses import AddressPolicy, RefusedAddressError
from app.api.guarded_http import FAILURES, GuardedHttp, in_words
from jobs.events.secrets import secret_of

TIMEOUT_S = 15.0
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
        self._http = GuardedHttp(policy, timeout_s=TIMEOUT_S)

    async def close(self) -> None:
        """Close what is open."""
        await self._http.close()

    async def send(self, url: str, message_id: str, body: str, tenant: str = "") -> None:
        """Deliver a message, signed for its tenant; the default one if that is empty.

        Raises:
            DeliveryError: it was not accepted.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S):
                async with self._http.send(
                    "POST", httpx.URL(url), self._signed(message_id, body, tenant), body
                ) as answer:
                    status = answer.status_code
        except RefusedAddressError as error:
            reason = "the name leads to an address that webhooks may not reach"
            raise DeliveryError(reason, detail=str(error), is_final=True) from error
        except FAILURES as error:
            detail = f"{type(error).__name__}: {error}"[:300]
            raise DeliveryError(in_words(error, TIMEOUT_S), detail=detail, is_silent=True) from error
        if not 200 <= status < 300:
            note = ", and redirects are not followed" if 300 <= status < 400 else ""
            raise DeliveryError(f"the receiver answered {status}{note}", is_final=status == _GONE)

    def _signed(self, message_id: str, body: str, tenant: str) -> dict[str, str]:
        now = datetime.now(UTC)
        secrets = [secret_of(tenant, secret) for secret in self._secrets]
        signatures = [Signer(secret).sign(message_id, now, body) for secret in secrets]
        return {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
