"""The memory that a block of code takes."""

import threading
from mmap import PAGESIZE, mmap

import torch

from worker.models.footprint import peak_memory, taking_memory

MIB = 2**20
CPU = torch.device("cpu")


def touch(mebibytes: int) -> None:
    """Take fresh memory and release it at once; an allocator may reuse what it holds, which is not counted again."""
    with mmap(-1, mebibytes * MIB) as block:
        for page in range(0, len(block), PAGESIZE):
            block[page] = 1


def test_the_memory_of_a_block_is_measured() -> None:
    with peak_memory(CPU) as taken:
        touch(128)
    assert 120 * MIB < taken() < 300 * MIB


def test_measurements_may_lie_within_each_other() -> None:
    cpu = torch.device("cpu")
    with peak_memory(cpu) as around:
        touch(64)
        with peak_memory(cpu) as within:
            touch(32)
        touch(16)
    assert 60 * MIB < around() < 80 * MIB
    assert 30 * MIB < within() < 45 * MIB


def test_a_measurement_knows_whether_others_took_memory_meanwhile() -> None:
    def load(begun: threading.Event, go_on: threading.Event) -> None:
        with taking_memory(CPU):
            begun.set()
            assert go_on.wait(60)

    with peak_memory(CPU) as alone:
        touch(1)
    begun, go_on = threading.Event(), threading.Event()
    loader = threading.Thread(target=load, args=(begun, go_on))
    with peak_memory(CPU) as at_its_start:
        loader.start()
        assert begun.wait(60)
    with peak_memory(CPU) as within:
        pass
    with peak_memory(CPU) as at_its_end:
        go_on.set()
        loader.join()
    with peak_memory(CPU) as after:
        pass
    told = [each.disturbed for each in (alone, at_its_start, within, at_its_end, after)]
    assert told == [False, True, True, True, False]
