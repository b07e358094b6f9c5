"""What one job costs the server: commands and bytes, counted by the server itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis import Redis

from jobs.db.connection import bytes_twin
from jobs.queue.leases import Lease, Leases
from jobs.queue.queue import JobQueue
from jobs.requests.request import ResolvedRequest
from jobs.status.job import Progress
from worker.serving.consumer import Consumer

HELD = 16  # jobs of one worker, which share a renewal
WEIGHED = 200  # jobs whose bytes are counted together
MARK = "counted"
OURS = ("info", "echo", "monitor")  # of the counting itself


@dataclass(frozen=True)
class Commands:
    """The commands of one step.

    Attributes:
        sent: by clients, each a message of its own, pipelined or not.
        run: by the server, those in scripts included.
    """

    sent: int
    run: int


class Worker:
    """Takes a ticket and claims, as a worker does; holds the leases."""

    def __init__(self, redis: Redis) -> None:
        self.leases, self.held = Leases(redis, worker="counted"), list[Lease]()
        self._consumer = Consumer(redis, self, name="counted")

    def wait_for_room(self, timeout_s: float) -> bool:
        """There always is."""
        del timeout_s
        return True

    def admit(self) -> bool:
        """Claim."""
        lease = self.leases.claim_next(("pocket",))
        self.held += [] if lease is None else [lease]
        return lease is not None

    def is_fit(self) -> bool:
        """Always."""
        return True

    def take(self) -> None:
        """Take a ticket, claim a job for it, and settle the ticket."""
        found = self._consumer.dequeue_job_and_maintain_ttl(None)
        assert found is not None
        self._consumer.execute_job(*found)

    def renew(self, step: int) -> None:
        """Renew all leases; each job has made progress."""
        self.leases.renew_all([(lease, Progress(step=step, steps=100)) for lease in self.held])


def commands_by_step(redis: Redis, request: ResolvedRequest) -> dict[str, Commands]:
    """The commands of each step of a job; a renewal is one of 16 jobs together."""
    queue, worker = JobQueue(redis, max_queued=10**9), Worker(redis)
    for _ in range(HELD + 1):  # so that no script has to be sent any more
        queue.submit(request)
    for _ in range(HELD):
        worker.take()
    worker.renew(1)
    worker.leases.succeed(worker.held.pop(), ())
    return {
        "submit": _count(redis, lambda: queue.submit(request)),
        "claim": _count(redis, worker.take),
        "renew 16 jobs": _count(redis, lambda: worker.renew(2)),
        "commit": _count(redis, lambda: worker.leases.succeed(worker.held.pop(), ())),
    }


def _count(redis: Redis, step: Callable[[], object]) -> Commands:
    with bytes_twin(redis).monitor() as monitor:
        before = _calls(redis)
        step()
        run = _calls(redis) - before
        redis.echo(MARK)
        sent = 0
        for line in monitor.listen():
            if line["command"].startswith(f"ECHO {MARK}"):
                break
            is_ours = line["command"].partition(" ")[0].lower() in OURS
            sent += line["client_type"] != "lua" and not is_ours
    return Commands(sent, run)


def _calls(redis: Redis) -> int:
    stats: dict[str, Any] = redis.info("commandstats")
    names = {name: name.removeprefix("cmdstat_") for name in stats}
    return sum(each["calls"] for name, each in stats.items() if names[name] not in OURS)


def bytes_by_status(redis: Redis, request: ResolvedRequest) -> dict[str, int]:
    """The bytes that a job takes in Redis: its record, events and ticket, and its part of the indexes."""
    redis.flushall()
    queue, worker = JobQueue(redis, max_queued=10**9), Worker(redis)
    for _ in range(WEIGHED):
        queue.submit(request)
    found = {"waiting": _weigh(redis)}
    for _ in range(WEIGHED):
        worker.take()
    worker.renew(1)
    found["running"] = _weigh(redis)
    for lease in worker.held:
        worker.leases.succeed(lease, ())
    found["ended, within an hour"] = _weigh(redis)
    redis.delete(*(f"{{lodestar}}:events:{lease.job_id}" for lease in worker.held))
    found["ended"] = _weigh(redis)
    return found


def _weigh(redis: Redis) -> int:
    """The bytes of all keys by MEMORY USAGE, of one job; the stream of all jobs is capped and does not count."""
    places = (str(key) for key in redis.scan_iter("*", count=1000))
    total = sum(redis.memory_usage(key, samples=0) or 0 for key in places if key != "{lodestar}:events")
    return total // WEIGHED
