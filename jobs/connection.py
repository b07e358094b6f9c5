"""Connections to Redis: how long each side waits for a server that is away."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from redis import ConnectionPool, Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,
)
from redis.retry import Retry

from jobs.errors import QueueUnavailableError

PATIENT_RETRIES = 120  # with waits capped at 2 s: about four minutes
HASTY_RETRIES = 2

_P = ParamSpec("_P")
_T = TypeVar("_T")


def connect(url: str, *, patient: bool) -> "Redis[Any]":
    """A client for ``redis://``, ``rediss://`` or ``unix://``; opens no connection yet.

    Args:
        url: of the server.
        patient: a worker waits minutes for a server that restarts, since it has work to keep; the API gives up
            within a second or two, since someone is waiting for its answer.
    """
    backoff = ExponentialWithJitterBackoff(base=0.05, cap=2.0 if patient else 0.2)
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=15 if patient else 5,
        socket_connect_timeout=5 if patient else 1,
        retry=Retry(backoff, PATIENT_RETRIES if patient else HASTY_RETRIES),
        retry_on_error=[ConnectionError, TimeoutError, BusyLoadingError],
        health_check_interval=30,
    )


def bytes_twin(redis: "Redis[Any]") -> "Redis[Any]":
    """A client for the same server that answers in bytes, which RQ needs since it stores compressed data."""
    pool = redis.connection_pool
    kwargs = {**pool.connection_kwargs, "decode_responses": False}
    return Redis(connection_pool=ConnectionPool(connection_class=pool.connection_class, **kwargs))


def translates_redis_errors(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Turn the loss of Redis, or its refusal to write, into ``QueueUnavailableError``."""

    @wraps(function)
    def translated(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return function(*args, **kwargs)
        except (ConnectionError, TimeoutError, BusyLoadingError) as error:
            raise QueueUnavailableError("the job queue (Redis) cannot be reached") from error
        except (OutOfMemoryError, ReadOnlyError) as error:
            raise QueueUnavailableError("the job queue (Redis) refuses to write") from error
        except RedisError as error:
            raise QueueUnavailableError(f"the job queue (Redis) failed: {type(error).__name__}") from error

    return translated
