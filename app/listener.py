"""The socket that the API listens on."""

import os
import socket
from ipaddress import ip_address

# What the kernel keeps of connections until they are accepted.
BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; the unspecified IPv6 address takes IPv4 too, where the system can.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """
    family, _, _, _, address = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]
    both = family == socket.AF_INET6 and _is_unspecified(host) and socket.has_dualstack_ipv6()
    return socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=both)


def reason_of(error: OSError) -> str:
    """Why that failed, without the address, which whoever tells it says himself."""
    number = error.errno or 0  # negative if a look-up failed
    return os.strerror(number) if number > 0 else error.strerror or str(error)


def address_of(host: str, port: int) -> str:
    """``host:port``, as URLs have it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(host: str, port: int) -> str:
    """Where someone on this machine finds what listens there."""
    if not host or _is_unspecified(host):
        host = "::1" if ":" in host and not socket.has_dualstack_ipv6() else "127.0.0.1"
    return f"http://{address_of(host, port)}"


def _is_unspecified(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
