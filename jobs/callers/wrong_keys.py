"""Limits the wrong keys that an address may try.

An address that has tried many different ones is refused for a while, before anything is looked up. It cannot be used to
lock others out who come from the same address: a key that has counted before still does, and a client that goes on
sending one wrong key, such as a revoked one, counts once. Where a trusted proxy says nothing of its clients' addresses,
nothing is counted.
"""

import threading
import time
from collections import OrderedDict
from hashlib import sha256
from ipaddress import IPv6Address, ip_address

import structlog

from jobs.errors import LodestarError

WINDOW_S = 60.0
MOST_WRONG = 20
MOST_ADDRESSES = 10_000

log = structlog.get_logger("lodestar.audit")


class TooManyWrongKeysError(LodestarError):
    """The sender's address has tried too many wrong keys."""

    type = "too_many_wrong_keys"


class WrongKeys:
    """The different wrong keys that each address has tried in the last minute, in this process.

    It remembers so many addresses and keys, and no more. Threads may share one.
    """

    def __init__(self, *, window_s: float = WINDOW_S, most: int = MOST_WRONG) -> None:
        self._window_s = window_s
        self._most = most
        self._lock = threading.Lock()
        # By address, the times of the keys' digests, the oldest first.
        self._tried: OrderedDict[str, OrderedDict[bytes, float]] = OrderedDict()

    def wait_s(self, address: str | None, text: str) -> float:
        """Seconds until an address may try this key; 0 if it may now or has tried it before, and for None."""
        if address is None:
            return 0.0
        with self._lock:
            tried = self._recent(_network(address))
            if len(tried) < self._most or _digest(text) in tried:
                return 0.0
            return max(0.001, next(iter(tried.values())) + self._window_s - time.monotonic())

    def note(self, address: str | None, text: str) -> None:
        """Note that a key was wrong."""
        if address is None:
            return
        with self._lock:
            tried = self._recent(_network(address))
            if not tried and len(self._tried) >= MOST_ADDRESSES:
                self._tried.popitem(last=False)
            tried.pop(_digest(text), None)
            if len(tried) < self._most:
                tried[_digest(text)] = time.monotonic()
            self._tried[_network(address)] = tried
            self._tried.move_to_end(_network(address))
            if len(tried) == self._most:
                log.warning("many wrong keys", address=address)

    def _recent(self, network: str) -> OrderedDict[bytes, float]:
        tried = self._tried.get(network, OrderedDict())
        since = time.monotonic() - self._window_s
        while tried and next(iter(tried.values())) <= since:
            tried.popitem(last=False)
        return tried


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()[:8]


def _network(address: str) -> str:
    """The network that one client controls: of IPv6 addresses it has 2 to the 64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(int(parsed) >> 64) if isinstance(parsed, IPv6Address) else address
