"""The health check of a worker's container."""

import os
import socket

from jobs.db.connection import connect
from jobs.queue.workers import WorkerRegistry
from jobs.status.workers import WorkerInfo


def live_workers_here(redis_url: str) -> list[str]:
    """Names of the workers that run on this host and have sent a heartbeat of late.

    Raises:
        QueueUnavailableError: Redis cannot be reached.
    """
    with connect(redis_url, patient=False) as redis:
        return [info.name for info in WorkerRegistry(redis).alive() if _runs_here(info)]


def _runs_here(info: WorkerInfo) -> bool:
    if info.host != socket.gethostname():
        return False
    try:
        os.kill(info.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it exists, and belongs to someone else
    return True
