"""Connections that follow the primary: through a failover, and through the move of our slot to another node.

All keys lie in one hash slot (see ``PREFIX``), so there is one server to talk to at any time. Each connection asks
where that is when it connects, and is given up as soon as its server says that it is the primary no more. So plain
clients serve, with their pipelines, transactions and channels, and RQ's.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.connection import Connection as AsyncConnection
from redis.asyncio.connection import SSLConnection as AsyncSSLConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.retry import Retry
from redis.sentinel import Sentinel

from jobs.db.scripts import PREFIX
from jobs.db.servers import Host, Servers

ASKING_TIMEOUT_S = 0.5  # of a Sentinel or node that does not answer, before the next one is asked
_ONCE = {
    "socket_timeout": ASKING_TIMEOUT_S,
    "socket_connect_timeout": ASKING_TIMEOUT_S,
    "decode_responses": True,
}
_ELSEWHERE = (
    AskError,
    ReadOnlyError,
    MasterDownError,
    ClusterDownError,
    TryAgainError,
)  # AskError: also MOVED
_SLOT = key_slot(PREFIX.encode())


def leaves_its_server(error: ResponseError) -> bool:
    """Whether an answer means that another server is the primary, or soon will be: the command is to be repeated."""
    # NOREPLICAS: a primary that was cut off from its replicas, see min-replicas-to-write.
    return isinstance(error, _ELSEWHERE) or str(error).startswith("NOREPLICAS")


class _Follows:
    """Makes a connection follow the primary."""

    host: str
    port: int

    def __init__(self, *, where: Callable[[], Host], **options: Any) -> None:
        self._where = where
        super().__init__(**options)

    def _connect(self) -> Any:
        self.host, self.port = self._where()
        return super()._connect()  # type: ignore[misc]

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except ResponseError as error:
            if not leaves_its_server(error):
                raise
            self.disconnect()  # type: ignore[attr-defined]
            raise ConnectionError(f"the server is the primary no more: {error}") from error


class FollowingConnection(_Follows, Connection):
    """In the clear."""


class FollowingTLSConnection(_Follows, SSLConnection):
    """With TLS."""


class _FollowsAsync:
    """The same for an event loop."""

    host: str
    port: int

    def __init__(self, *, where: Callable[[], Awaitable[Host]], **options: Any) -> None:
        self._where = where
        super().__init__(**options)

    async def _connect(self) -> None:
        self.host, self.port = await self._where()
        await super()._connect()  # type: ignore[misc]

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)  # type: ignore[misc]
        except ResponseError as error:
            if not leaves_its_server(error):
                raise
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise ConnectionError(f"the server is the primary no more: {error}") from error


class AsyncFollowingConnection(_FollowsAsync, AsyncConnection):
    """In the clear."""


class AsyncFollowingTLSConnection(_FollowsAsync, AsyncSSLConnection):
    """With TLS."""


def connection_options(servers: Servers) -> dict[str, Any]:
    """For a pool of connections that follow the primary of these servers."""
    kind = FollowingTLSConnection if servers.asking.get("ssl") else FollowingConnection
    return {"connection_class": kind, "where": _question(servers), **servers.options}


def async_connection_options(servers: Servers) -> dict[str, Any]:
    """The same for an event loop."""
    kind = AsyncFollowingTLSConnection if servers.asking.get("ssl") else AsyncFollowingConnection
    return {"connection_class": kind, "where": _async_question(servers), **servers.options}


def new_sentinel(servers: Servers) -> Sentinel:
    """The Sentinels, each of which is asked once and does not keep anyone waiting."""
    return Sentinel(servers.hosts, sentinel_kwargs=_asking(servers))


def _asking(servers: Servers) -> dict[str, Any]:
    return {**_ONCE, "retry": Retry(NoBackoff(), 0), **servers.asking}


def _question(servers: Servers) -> Callable[[], Host]:
    if servers.kind == "sentinel":
        sentinel = new_sentinel(servers)
        return lambda: _host(sentinel.discover_master(servers.name))
    asking = _asking(servers)
    known = list(servers.hosts)

    def owner() -> Host:
        for host, port in tuple(known):
            try:
                with Redis(host=host, port=port, **asking) as node:
                    return _owner(node.execute_command("CLUSTER SLOTS"), host, known)
            except RedisError:
                continue
        raise ConnectionError("no node of the cluster knows who owns our slot")

    return owner


def _async_question(servers: Servers) -> Callable[[], Awaitable[Host]]:
    asking = {**_ONCE, "retry": AsyncRetry(NoBackoff(), 0), **servers.asking}
    known = list(servers.hosts)

    async def primary() -> Host:
        # Its clients belong to the loop that first used them, and are made anew for each question.
        sentinel = AsyncSentinel(servers.hosts, sentinel_kwargs=asking)
        try:
            return _host(await sentinel.discover_master(servers.name))
        finally:
            for client in sentinel.sentinels:
                await client.aclose()

    async def owner() -> Host:
        for host, port in tuple(known):
            try:
                async with AsyncRedis(host=host, port=port, **asking) as node:
                    return _owner(await node.execute_command("CLUSTER SLOTS"), host, known)
            except RedisError:
                continue
        raise ConnectionError("no node of the cluster knows who owns our slot")

    return primary if servers.kind == "sentinel" else owner


def _host(address: tuple[Any, Any]) -> Host:
    return str(address[0]), int(address[1])


def _owner(slots: Any, asked: str, known: list[Host]) -> Host:
    """The node that owns our slot; remembers all nodes, since those of the settings may go."""
    owner = None
    for (first, last), primary, replicas in _ranges(slots):
        hosts = [(host or asked, port) for host, port in (primary, *replicas)]
        known += [host for host in hosts if host not in known]
        if first <= _SLOT <= last:
            owner = hosts[0]
    if owner is None:
        raise ConnectionError("nobody owns our slot")
    return owner


def _ranges(slots: Any) -> list[tuple[tuple[int, int], Host, list[Host]]]:
    """The answer of CLUSTER SLOTS, as the server gives it or as redis-py has parsed it."""
    if isinstance(slots, dict):
        return [
            (span, _host(each["primary"]), [_host(host) for host in each["replicas"]])
            for span, each in slots.items()
        ]
    return [((int(row[0]), int(row[1])), _host(row[2]), [_host(host) for host in row[3:]]) for row in slots]
