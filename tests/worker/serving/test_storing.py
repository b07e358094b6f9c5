"""Pictures on their way to the store: several at a time, in one order for each execution."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from jobs.queue.leases import Lease
from jobs.requests.request import ResolvedRequest
from jobs.status.job import StoredImage
from tests.jobs.samples import RESOLVED
from tests.waiting import until
from tests.worker.serving.test_executions import Ask
from worker.pictures.picture import Picture
from worker.raster import Raster
from worker.serving.storing import WAITING, Storing


class Store:
    """A store whose writes wait until they are let through, and all that happened there."""

    def __init__(self) -> None:
        self.gates: dict[str, threading.Event] = {}
        self.begun: list[str] = []
        self.put: list[str] = []
        self.announced: list[str] = []
        self.broken: set[str] = set()
        self.storing = Storing(self._put, lambda _, image: self.announced.append(image.key), threads=3)

    def hold(self, *keys: str) -> None:
        self.gates |= {key: threading.Event() for key in keys}

    def open(self) -> None:
        for gate in self.gates.values():
            gate.set()

    def _put(self, key: str, data: bytes) -> None:
        self.begun.append(key)
        if key in self.gates:
            assert self.gates[key].wait(60)
        if key in self.broken:
            raise OSError("no space left")
        assert data.startswith(b"\x89PNG")
        self.put.append(key)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.open()
    store.storing.close(60)


def picture(index: int) -> Picture:
    pixels = torch.full((3, 8, 8), index / 10)
    return Picture(index, index, pixels, Raster(pixels), 0.5)


def execution(name: str, request: ResolvedRequest = RESOLVED) -> Lease:
    return Lease(name, "1", request)


def choosing(ask: Ask) -> Lease:
    return execution("job", ask(select={"candidates": 5}))


def keys(images: tuple[StoredImage, ...]) -> list[str]:
    return [image.key for image in images]


def test_pictures_are_stored_side_by_side_and_come_out_by_number(store: Store) -> None:
    store.hold("job/1/2.png", "job/1/0.png", "job/1/1.png")
    lease = execution("job")
    for index in (2, 0, 1):
        store.storing.add(lease, picture(index))
    until(lambda: len(store.begun) == 3)
    store.open()
    assert keys(store.storing.all(lease)) == ["job/1/0.png", "job/1/1.png", "job/1/2.png"]
    assert store.announced == []


def test_candidates_are_announced_in_the_order_of_their_making_whichever_is_stored_first(
    store: Store, ask: Ask
) -> None:
    lease = choosing(ask)
    store.hold("job/1/0.png")
    for index in range(3):
        store.storing.add(lease, picture(index))
    until(lambda: len(store.put) == 2)
    assert store.announced == []
    store.gates["job/1/0.png"].set()
    assert len(store.storing.all(lease)) == 3
    assert store.announced == ["job/1/0.png", "job/1/1.png", "job/1/2.png"]


def test_a_picture_that_waits_for_its_turn_holds_up_no_other_execution(store: Store, ask: Ask) -> None:
    store.hold("job/1/0.png")
    for index in range(2):
        store.storing.add(choosing(ask), picture(index))
    store.storing.add(execution("other"), picture(0))
    assert keys(store.storing.all(execution("other"))) == ["other/1/0.png"]


def test_when_one_cannot_be_stored_no_other_of_its_execution_is_stored_later(store: Store) -> None:
    lease = execution("job")
    store.broken.add("job/1/0.png")
    store.hold(*(f"job/1/{index}.png" for index in range(1, 8)))
    for index in range(8):
        store.storing.add(lease, picture(index))
    until(lambda: len(store.begun) == 4)
    threading.Timer(0.1, store.open).start()
    with pytest.raises(OSError, match="no space"):
        store.storing.all(lease)
    put = list(store.put)
    time.sleep(0.05)
    assert store.put == put
    assert len(store.begun) == 4


def test_a_candidate_that_cannot_be_stored_keeps_no_later_one_from_its_followers(
    store: Store, ask: Ask
) -> None:
    store.broken.add("job/1/0.png")
    for index in range(3):
        store.storing.add(choosing(ask), picture(index))
    until(lambda: len(store.announced) == 2)
    assert store.announced == ["job/1/1.png", "job/1/2.png"]


def test_after_an_execution_is_forgotten_nothing_of_it_is_stored_or_announced(store: Store, ask: Ask) -> None:
    lease = choosing(ask)
    store.hold("job/1/0.png", "job/1/1.png", "job/1/2.png")
    for index in range(6):
        store.storing.add(lease, picture(index))
    until(lambda: len(store.begun) == 3)
    threading.Timer(0.1, store.open).start()
    assert store.storing.forget(lease)
    seen = list(store.put), list(store.announced)
    time.sleep(0.05)
    assert (store.put, store.announced) == seen
    assert sorted(store.begun) == ["job/1/0.png", "job/1/1.png", "job/1/2.png"]
    assert not store.storing.forget(lease)


def test_an_execution_has_room_again_when_some_of_its_pictures_are_stored(store: Store) -> None:
    lease = execution("job")
    store.hold(*(f"job/1/{index}.png" for index in range(WAITING)))
    for index in range(WAITING):
        assert store.storing.has_room(lease)
        store.storing.add(lease, picture(index))
    assert not store.storing.has_room(lease)
    assert store.storing.has_room(execution("other"))
    store.gates["job/1/0.png"].set()
    until(lambda: store.storing.has_room(lease))


def test_a_picture_that_is_not_finite_is_never_stored(store: Store) -> None:
    pixels = torch.full((3, 8, 8), float("nan"))
    store.storing.add(execution("job"), Picture(0, 0, pixels, Raster(pixels), 0.5))
    with pytest.raises(Exception, match="not finite"):
        store.storing.all(execution("job"))
    assert store.put == []
