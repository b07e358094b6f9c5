"""Pictures from other servers, if the operator allows it: through the guard that webhooks have."""

import asyncio

import httpx

from app.api.addresses import AddressPolicy, RefusedAddressError
from app.api.guarded_http import FAILURES, GuardedHttp, in_words
from jobs.errors import InvalidFileError

MAX_FETCHED_BYTES = 20 << 20
MAX_REDIRECTS = 3
TIMEOUT_S = 20.0
"""Of all pictures of one request together."""
AT_ONCE = 8
"""Pictures that are fetched at a time, for all callers."""

_ACCEPT = {"Accept": "image/png, image/jpeg, image/webp", "Accept-Encoding": "identity"}
_MOVED = (301, 302, 303, 307, 308)


class PictureFetcher:
    """Fetches pictures by their addresses."""

    def __init__(self, policy: AddressPolicy) -> None:
        """Fetch from the addresses of this policy; opens no connection yet."""
        self._http = GuardedHttp(policy, timeout_s=TIMEOUT_S)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        """Close what is open."""
        await self._http.close()

    async def fetch(self, url: str, field: str, until_s: float) -> bytes:
        """A file.

        Args:
            url: http or https.
            field: of the request that named it, for errors.
            until_s: time of the loop's clock at which it must be there.

        Raises:
            InvalidFileError: why it cannot be had.
        """
        try:
            async with asyncio.timeout_at(until_s), self._turns:
                return await self._follow(httpx.URL(url), field)
        except RefusedAddressError as error:
            raise _failed("it leads to an address that pictures may not be fetched from", field) from error
        except FAILURES as error:
            raise _failed(in_words(error, TIMEOUT_S), field) from error

    async def _follow(self, url: httpx.URL, field: str) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            if url.scheme not in ("http", "https") or not url.host:
                raise _failed("its address is not one of http or https", field)
            if url.userinfo:
                raise _failed("its address may hold no user name or password", field)
            async with self._http.send("GET", url, _ACCEPT) as answer:
                if answer.status_code == httpx.codes.OK:
                    return await _read(answer, field)
                if answer.status_code not in _MOVED or "Location" not in answer.headers:
                    raise _failed(f"its server answered {answer.status_code}", field)
                url = url.join(answer.headers["Location"])
        raise _failed(f"its server redirects more than {MAX_REDIRECTS} times", field)


async def _read(answer: httpx.Response, field: str) -> bytes:
    """The body, uncompressed, so that its length is known while it comes."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise _failed("its server sends it compressed", field)
    parts: list[bytes] = []
    length = 0
    async for part in answer.aiter_raw():
        length += len(part)
        if length > MAX_FETCHED_BYTES:
            raise _failed(f"it has more than {MAX_FETCHED_BYTES >> 20} MiB, the most that are fetched", field)
        parts.append(part)
    return b"".join(parts)


def _failed(reason: str, field: str) -> InvalidFileError:
    return InvalidFileError(f"the picture cannot be fetched: {reason}", field=field)
