"""The queue from both ends, over the real Valkey of the session."""

import pytest
from redis import Redis

from jobs.db.scripts import Scripts
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.tickets import Tickets


@pytest.fixture
def queue(redis: Redis) -> JobQueue:
    """The callers' end."""
    return JobQueue(redis, max_queued=100)


@pytest.fixture
def leases(redis: Redis) -> Leases:
    """The end of a worker whose leases do not run out during a test."""
    return Leases(redis, worker="steady")


@pytest.fixture
def doomed(redis: Redis) -> Leases:
    """The end of a worker whose leases have ended as soon as it has them: the same as one that died."""
    return Leases(redis, worker="doomed", lease_s=0)


@pytest.fixture
def reaper(redis: Redis) -> Reaper:
    """A reaper that gives lost tickets no grace, and workers none to come back after an outage."""
    return Reaper(redis, ticket_grace_s=0, outage_grace_s=0)


@pytest.fixture
def tickets(redis: Redis) -> Tickets:
    """The RQ queue."""
    return Tickets(redis)


@pytest.fixture
def scripts(redis: Redis) -> Scripts:
    """The atomic steps themselves, to repeat or to interrupt what runs them."""
    return Scripts(redis)
