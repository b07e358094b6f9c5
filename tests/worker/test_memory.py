"""What is foretold of a batch's memory."""

from mmap import PAGESIZE, mmap

import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.memory import FREE_SHARE, GROWTH, MemoryModel, peak_memory

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


def test_the_memory_of_a_block_is_measured() -> None:
    with peak_memory(torch.device("cpu")) as taken:
        numbers = torch.ones(64, MIB // 4)
        doubled = numbers * 2
        del numbers, doubled
    assert 100 * MIB < taken() < 300 * MIB


def touch(mebibytes: int) -> None:
    """Take fresh memory and give it back at once, which an allocator need not do."""
    with mmap(-1, mebibytes * MIB) as block:
        for page in range(0, len(block), PAGESIZE):
            block[page] = 1


def test_measurements_may_lie_within_each_other() -> None:
    cpu = torch.device("cpu")
    with peak_memory(cpu) as around:
        touch(64)
        with peak_memory(cpu) as within:
            touch(32)
        touch(16)
    assert 60 * MIB < around() < 80 * MIB
    assert 30 * MIB < within() < 45 * MIB
