"""Connections to Redis, with each side's patience when the server is away."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from redis import ConnectionPool, Redis
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError, OutOfMemoryError, ReadOnlyError, RedisError, TimeoutError
from redis.retry import Retry

from jobs.db.following import async_connection_options, connection_options
from jobs.db.servers import Servers, read_servers
from jobs.db.timing import NoteCall, TimedRedis
from jobs.errors import ConfigurationError, QueueUnavailableError

PATIENCE_S = 240.0
HASTE_S = 1.5
FAILOVER_S = 6.0  # a failover takes three or four

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _RetryFor(Retry):
    """Tries again until a time is over.

    A command that has to connect first retries inside a retry with this same object, so counting tries would square
    them; the time is shared instead.
    """

    def __init__(self, seconds: float, *, longest_wait_s: float) -> None:
        backoff = ExponentialWithJitterBackoff(base=0.05, cap=longest_wait_s)
        super().__init__(backoff, retries=-1, supported_errors=(ConnectionError, TimeoutError))
        self._seconds = seconds
        self._ends: float | None = None

    def call_with_retry(
        self, do: Callable[[], _T], fail: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> _T:
        before = self._ends
        ends = self._ends = time.monotonic() + self._seconds if before is None else before

        def fail_in_time(error: Exception, *count: int) -> None:
            fail(error, *count)
            if time.monotonic() >= ends:
                raise error

        try:
            return super().call_with_retry(do, fail_in_time, *args, **kwargs)
        finally:
            self._ends = before


def connect(url: str, *, patient: bool, note: NoteCall | None = None) -> Redis:
    """A client for an address as ``FORMS`` says; opens no connection yet.

    Args:
        url: of the server, or of those that know it. A client of several servers follows the primary.
        patient: for a worker, which has work to keep: it waits minutes for a server to restart. The API gives up within
            about two seconds, since a client is waiting; or within six, where another server may take over.
        note: is told how long each call takes.

    Raises:
        ConfigurationError: the address is wrong.
    """
    servers = _servers(url)
    haste_s = HASTE_S if servers is None else FAILOVER_S
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": 15 if patient else 2,
        "socket_connect_timeout": 5 if patient else 1,
        "retry": _RetryFor(PATIENCE_S, longest_wait_s=2.0)
        if patient
        else _RetryFor(haste_s, longest_wait_s=0.2),
        "health_check_interval": 30,
    }
    kind = Redis if note is None else TimedRedis
    if servers is None:
        client = kind.from_url(url, **options)
    else:
        client = kind.from_pool(ConnectionPool(**{**options, **connection_options(servers)}))
    if note is not None and isinstance(client, TimedRedis):
        client.note = note
    return client


def bytes_twin(redis: Redis) -> Redis:
    """A client for the same server with answers in bytes, as RQ needs them: it stores compressed data."""
    pool = redis.connection_pool
    kwargs = {**pool.connection_kwargs, "decode_responses": False}
    return Redis(connection_pool=ConnectionPool(connection_class=pool.connection_class, **kwargs))


def connect_async(url: str, *, max_connections: int) -> AsyncRedis:
    """A client for an event loop, as patient as the API; opens no connection yet. Addresses are as for ``connect``.

    It has few connections, and a call waits for a free one, so many readers cannot exhaust the server's.
    """
    servers = _servers(url)
    options: dict[str, Any] = {
        "max_connections": max_connections,
        "timeout": 20,
        "decode_responses": True,
        "socket_timeout": 15,
        "socket_connect_timeout": 1,
        "retry": AsyncRetry(
            ExponentialWithJitterBackoff(base=0.05, cap=0.2), retries=5 if servers is None else 40
        ),
    }
    if servers is None:
        return AsyncRedis.from_pool(BlockingConnectionPool.from_url(url, **options))
    return AsyncRedis.from_pool(BlockingConnectionPool(**{**options, **async_connection_options(servers)}))


def _servers(url: str) -> Servers | None:
    try:
        if (servers := read_servers(url)) is None:
            parse_url(url)
    except ValueError as error:
        raise ConfigurationError(f"the address of Redis is wrong: {error}", field="redis_url") from error
    return servers


@contextmanager
def translating_redis_errors() -> Iterator[None]:
    """Turn the loss of Redis, or its refusal to write, into ``QueueUnavailableError``."""
    try:
        yield
    except (ConnectionError, TimeoutError) as error:
        raise QueueUnavailableError("the job queue (Redis) cannot be reached") from error
    except (OutOfMemoryError, ReadOnlyError) as error:
        raise QueueUnavailableError("the job queue (Redis) refuses to write") from error
    except RedisError as error:
        raise QueueUnavailableError(f"the job queue (Redis) failed: {type(error).__name__}") from error


def translates_redis_errors(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Decorate a function: each call runs within ``translating_redis_errors``."""

    @wraps(function)
    def translated(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with translating_redis_errors():
            return function(*args, **kwargs)

    return translated
