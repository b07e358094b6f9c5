"""Where the server is: the addresses that settings may name, and the question who is the primary now."""

import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.connection import parse_url

FORMS = (
    "redis://, rediss:// or unix://, redis+sentinel://host:port,host:port/name/0, or "
    "redis+cluster://host:port,host:port (rediss+ for TLS)"
)
SENTINEL_PORT = 26379
CLUSTER_PORT = 6379
_URL = re.compile(r"redis(?P<tls>s?)\+(?P<kind>sentinel|cluster)://(?P<rest>.*)", re.DOTALL)
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")

Host = tuple[str, int]


@dataclass(frozen=True)
class Servers:
    """Several servers, of which one is the primary of all our keys.

    Attributes:
        kind: who knows which one.
        hosts: Sentinels, or nodes of a cluster.
        name: of the primary, as the Sentinels call it.
        options: of connections to the primary, as redis-py names them.
        asking: of connections to those who know.
    """

    kind: Literal["sentinel", "cluster"]
    hosts: tuple[Host, ...]
    name: str
    options: dict[str, Any]
    asking: dict[str, Any]


def read_servers(url: str) -> Servers | None:
    """What a URL of several servers says; None for a URL of one server.

    Raises:
        ValueError: it is wrong; the message has no password.
    """
    found = _URL.fullmatch(url)
    if found is None:
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError(f"an address of Redis is {FORMS}")
        return None
    parts = urlsplit(f"redis://{found['rest']}")
    credentials, _, hosts = parts.netloc.rpartition("@")
    is_sentinel = found["kind"] == "sentinel"
    name, database = _name_and_database(parts.path) if is_sentinel else ("", parts.path.strip("/"))
    if not is_sentinel and database not in {"", "0"}:
        raise ValueError("a cluster has no other database than 0")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    own = {key.removeprefix("sentinel_"): query.pop(key) for key in _SENTINEL_OPTIONS if key in query}
    at = f"{credentials}@" if credentials else ""
    options = parse_url(f"redis{found['tls']}://{at}-/{database}?{urlencode(query)}")
    options.pop("host")
    shared = {key: value for key, value in options.items() if key.startswith("ssl_")}
    if found["tls"]:
        shared["ssl"] = True
    options.pop("connection_class", None)
    if not is_sentinel:
        own = {key: options[key] for key in ("username", "password") if key in options}
    return Servers(
        "sentinel" if is_sentinel else "cluster",
        _hosts(hosts, SENTINEL_PORT if is_sentinel else CLUSTER_PORT),
        name,
        options,
        {**shared, **own},
    )


def is_cluster(url: str) -> bool:
    """Whether the URL is that of a cluster, in which keys of other slots may lie elsewhere."""
    servers = read_servers(url)
    return servers is not None and servers.kind == "cluster"


def _name_and_database(path: str) -> tuple[str, str]:
    name, _, database = path.strip("/").partition("/")
    if not name:
        raise ValueError("an address with Sentinels names the primary: redis+sentinel://host:port/name/0")
    if database and not database.isdecimal():
        raise ValueError(
            "the database behind the name of the primary is a number: redis+sentinel://host:port/name/0"
        )
    return unquote(name), database


def _hosts(text: str, port: int) -> tuple[Host, ...]:
    hosts = []
    for each in text.split(","):
        try:
            parts = urlsplit(f"redis://{each}")
            host, own_port = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(f"{each!r} is no host and port") from error
        if not host:
            raise ValueError("hosts are given as host:port, with commas between")
        hosts.append((host, own_port or port))
    return tuple(hosts)
