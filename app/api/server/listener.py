"""The sockets that the API listens on."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address

# The kernel's queue of connections that are not accepted yet.
BACKLOG = 2048
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}  # of a family that this machine does not speak


@contextmanager
def listening(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Sockets that listen within the block, all on one port: of a name, one for each family that it leads to.

    The unspecified IPv6 address takes IPv4 too, where the system can.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """
    with ExitStack() as stack:
        sockets: list[socket.socket] = []
        for family, address in _addresses(host or "0.0.0.0", port):
            wanted = sockets[0].getsockname()[1] if sockets else port
            both = family == socket.AF_INET6 and _is_unspecified(host) and socket.has_dualstack_ipv6()
            try:
                made = socket.create_server(
                    (address, wanted), family=family, backlog=BACKLOG, dualstack_ipv6=both
                )
            except OSError as error:
                if sockets and error.errno in _NOT_HERE:
                    continue
                raise
            # For the connections, which inherit it: asyncio sets it only on those of a socket that names its protocol.
            # Without it the body of an answer waits until the head is acknowledged, for 40 ms on Linux.
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets.append(stack.enter_context(made))
        yield sockets


def reason_of(error: OSError) -> str:
    """The reason of the failure, without the address: the caller's message has it."""
    number = error.errno or 0  # negative if a look-up failed
    return os.strerror(number) if number > 0 else error.strerror or str(error)


def address_of(host: str, port: int) -> str:
    """``host:port``, as URLs have it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(host: str, port: int) -> str:
    """The URL of a listener for clients on this machine."""
    if not host or _is_unspecified(host):
        host = "::1" if ":" in host and not socket.has_dualstack_ipv6() else "127.0.0.1"
    return f"http://{address_of(host, port)}"


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """One address of each family that a name leads to, IPv4 first."""
    first: dict[socket.AddressFamily, str] = {}
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        # The name of an interface, which belongs to a link-local address, is in the text but not in the address.
        first.setdefault(family, host if ":" in host else str(address[0]))
    return sorted(first.items(), key=lambda found: found[0] != socket.AF_INET)


def _is_unspecified(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
