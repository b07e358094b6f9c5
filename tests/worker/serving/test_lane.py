"""Work beside the computing."""

import threading
import time

import pytest

from worker.serving.lane import Lane


def test_what_is_given_is_done_in_order_and_answered() -> None:
    lane, done = Lane("test"), list[int]()

    def do(number: int) -> int:
        done.append(number)
        return number * 2

    answers = [lane.submit(do, number) for number in range(5)]
    assert [answer.result(10) for answer in answers] == [0, 2, 4, 6, 8]
    assert done == [0, 1, 2, 3, 4]


def test_an_error_is_the_answer_and_does_not_end_the_thread() -> None:
    lane = Lane("test")
    assert isinstance(lane.submit(int, "x").exception(10), ValueError)
    assert lane.submit(int, "7").result(10) == 7


def test_of_two_threads_one_goes_on_while_the_other_is_busy() -> None:
    lane, go_on = Lane("test", 2), threading.Event()
    slow = lane.submit(go_on.wait, 60)
    assert lane.submit(int, "7").result(10) == 7
    assert not slow.done()
    go_on.set()
    assert slow.result(10)


def test_a_close_cancels_what_waits_and_does_not_wait_for_what_hangs() -> None:
    lane, go_on = Lane("test"), threading.Event()
    hanging, waiting = lane.submit(go_on.wait, 60), lane.submit(int, "7")
    while not hanging.running():
        time.sleep(0.01)
    start = time.monotonic()
    lane.close(0.1)
    assert time.monotonic() - start < 10
    assert waiting.cancelled()
    assert lane.submit(int, "8").cancelled()
    go_on.set()


@pytest.mark.parametrize("held", [True, False])
def test_what_is_done_is_not_kept(held: bool) -> None:
    import weakref

    class Picture:
        """Something large."""

    lane, picture = Lane("test"), Picture()
    known = weakref.ref(picture)
    lane.submit(id, picture).result(10)
    if not held:
        del picture
        end = time.monotonic() + 10
        while known() is not None and time.monotonic() < end:
            time.sleep(0.01)
    assert (known() is not None) is held
