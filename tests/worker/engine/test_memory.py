"""The predicted memory of a batch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.memory import FORGET_AFTER, GROWTH, MEASURE_EVERY, MemoryModel
from worker.models.device import FREE_SHARE

MIB = 2**20


@given(
    base=st.integers(0, 500),
    each=st.integers(1, 50),
    free=st.integers(100, 2000),
    groups=st.lists(st.lists(st.integers(1, 2), min_size=1, max_size=40), min_size=1, max_size=8),
)
def test_once_a_call_alone_was_measured_no_part_of_a_group_takes_more_than_is_free(
    base: int, each: int, free: int, groups: list[list[int]]
) -> None:
    model = MemoryModel(lambda: free)
    for group in groups:
        rest = group
        while rest:
            count = model.fitting("kind", rest)
            size = sum(rest[:count])
            taken = base + each * size
            assert count == 1 or taken <= FREE_SHARE * free
            model.note("kind", size, taken)
            rest = rest[count:]


def test_groups_grow_to_the_whole_budget_and_no_further() -> None:
    model = MemoryModel(lambda: 1000 * MIB, limit_bytes=100 * MIB)
    parts = []
    for _ in range(4):
        count = model.fitting("kind", [1] * 64)
        parts.append(count)
        model.note("kind", count, (20 + 2 * count) * MIB)
    assert parts == [1, GROWTH, 40, 40]


def test_a_size_that_was_refused_is_tried_again_only_when_more_is_free() -> None:
    free = 100 * MIB
    model = MemoryModel(lambda: free)
    model.note("kind", 1, MIB)
    model.note("kind", 2, 2 * MIB)
    assert model.fitting("kind", [1] * 16) == 16
    model.refuse("kind", 16)
    assert model.fitting("kind", [1] * 16) < 16
    free = 200 * MIB
    assert model.fitting("kind", [1] * 16) == 16
    model.note("kind", 16, 16 * MIB)
    free = 100 * MIB
    assert model.fitting("kind", [1] * 16) == 16


def test_kinds_of_batches_are_learned_apart() -> None:
    model = MemoryModel(lambda: 100 * MIB)
    model.note("small", 1, MIB)
    assert model.fitting("large", [1] * 16) == 1
    assert model.largest("large") is None


GIB = 2**30


def run(model: MemoryModel, calls: int, *, extra: int = 0, disturbed: bool = False) -> int:
    """Run a batch of as many of the calls as fit, which take 20 MiB and 2 for each; how many these were."""
    count = model.fitting("kind", [1] * calls)
    if model.worth_measuring("kind", count):
        model.note("kind", count, (20 + 2 * count) * MIB + extra, disturbed=disturbed)
    return count


@pytest.mark.parametrize("size", [1, GROWTH, 32])
def test_one_measurement_that_is_too_high_is_not_believed_for_ever(size: int) -> None:
    """Two gigabytes of somebody else's on one point; half a gigabyte is free."""
    model = MemoryModel(lambda: 512 * MIB)
    while run(model, size, extra=2 * GIB if size == 1 else 0) < size:
        pass
    model.note("kind", size, 2 * GIB)
    parts = [run(model, 32) for _ in range(2 * FORGET_AFTER)]
    assert parts[-1] == 32


def test_a_smallest_point_that_is_too_high_lets_nothing_through_without_a_limit() -> None:
    model = MemoryModel(lambda: 100 * MIB)
    model.note("kind", 1, GIB)
    model.note("kind", 4, 28 * MIB)
    largest = model.largest("kind")
    assert largest is not None
    assert 4 <= largest <= 80 / 28 * 4


def test_points_without_a_slope_let_batches_grow_step_by_step() -> None:
    model = MemoryModel(lambda: 100 * MIB)
    model.note("kind", 1, 0)
    model.note("kind", 4, 0)
    assert model.largest("kind") == 4 * GROWTH


def test_what_was_measured_while_others_took_memory_counts_only_until_there_is_better() -> None:
    model = MemoryModel(lambda: 3 * GIB)
    model.note("kind", 1, 2 * GIB, disturbed=True)
    assert model.fitting("kind", [1] * 8) == 1
    assert model.worth_measuring("kind", 1)
    model.note("kind", 1, 22 * MIB)
    model.note("kind", 1, 2 * GIB, disturbed=True)
    assert model.fitting("kind", [1] * 8) == GROWTH
    assert not model.worth_measuring("kind", 1)


def test_a_size_is_measured_now_and_then() -> None:
    model = MemoryModel(lambda: GIB)
    measured = []
    for _ in range(2 * MEASURE_EVERY + 1):
        measured.append(model.worth_measuring("kind", 1))
        if measured[-1]:
            model.note("kind", 1, MIB)
    assert [index for index, each in enumerate(measured) if each] == [0, MEASURE_EVERY, 2 * MEASURE_EVERY]
