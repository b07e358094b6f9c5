"""The addresses that webhooks may reach: the public internet, and networks that the operator allows.

Without this check, callers could reach addresses that only the service can reach: its Redis, its neighbours, and the
cloud's metadata service with the machine's credentials.
"""

import asyncio
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from pydantic import HttpUrl

from jobs.errors import InvalidRequestError

Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address

# Not for the public although Python counts them as global, or did until lately.
_SPECIAL: tuple[Network, ...] = (
    ip_network("192.0.0.0/24"),  # protocol assignments; Oracle's metadata service
    ip_network("168.63.129.16/32"),  # Azure's host, from every machine there
    ip_network("192.88.99.0/24"),  # 6to4 relays
    ip_network("64:ff9b:1::/48"),  # NAT64 of a local network
    ip_network("fec0::/10"),  # site-local
    ip_network("5f00::/16"),  # segment routing
    ip_network("3fff::/20"),  # documentation
)
_NAT64 = IPv6Network("64:ff9b::/96")


class RefusedAddressError(Exception):
    """The name leads to an address that webhooks may not reach."""


class AddressPolicy:
    """The addresses that webhooks may reach."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        """Allow these networks besides the public internet."""
        self._allowed = tuple(allowed)

    def permits(self, address: str) -> bool:
        """Whether an IP address may be reached."""
        ip = ip_address(address.partition("%")[0])
        inner = _carried(ip)
        return all(self._is_allowed(each) or _is_public(each) for each in (inner or ip,))

    def check(self, url: HttpUrl) -> None:
        """Refuse an address at once if that needs no name server.

        Raises:
            InvalidRequestError: the address of a webhook is, or certainly leads to, one that may not be reached.
        """
        host = (url.host or "").strip("[]").rstrip(".").lower()
        literal = "127.0.0.1" if host == "localhost" or host.endswith(".localhost") else host
        try:
            is_permitted = self.permits(literal)
        except ValueError:
            return
        if not is_permitted:
            raise InvalidRequestError(
                f"webhooks may not reach {host}: it is not an address of the public internet",
                field="webhook.url",
            )

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host, each of which may be reached.

        Raises:
            RefusedAddressError: one of them may not. A name with both kinds is hostile.
            OSError: the name has no address.
        """
        addresses = list(dict.fromkeys(await _look_up(host, port)))
        refused = [address for address in addresses if not self.permits(address)]
        if refused:
            raise RefusedAddressError(f"{host} leads to {refused[0]}, which is not of the public internet")
        return addresses

    def _is_allowed(self, ip: _Address) -> bool:
        return any(ip in network for network in self._allowed)


async def _look_up(host: str, port: int) -> list[str]:
    """The addresses of a host. Each look-up has a thread of its own; the process ends without waiting for it.

    Names whose servers take half a minute to answer would occupy all of the event loop's own threads.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def answer(addresses: list[str], error: Exception | None) -> None:
        if found.done():
            return  # given up meanwhile
        if error is None:
            found.set_result(addresses)
        else:
            found.set_exception(error)

    def look_up() -> None:
        addresses, failure = [], None
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [str(entry[4][0]) for entry in entries]
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(answer, addresses, failure)

    threading.Thread(target=look_up, name="webhook name look-up", daemon=True).start()
    return await found


def _is_public(ip: _Address) -> bool:
    is_odd = ip.is_multicast or ip.is_reserved or any(ip in network for network in _SPECIAL)
    return ip.is_global and not is_odd


def _carried(ip: _Address) -> _Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, 6to4 or NAT64."""
    if isinstance(ip, IPv4Address):
        return None
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour
