"""Random numbers of a picture's own generators, drawn ahead of need beside the device's work.

They come from generators on the CPU, one after the other, so that a seed gives one picture on every device. PyTorch
draws without Python's lock, and a step of the device takes longer than its noise. A counter-based generator on the
device would need no thread, but the same numbers on a CPU would take it several times as long.
"""

import math
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import islice
from typing import Generic, TypeVar

import torch
from torch import Tensor

from worker.random_numbers import normal

T = TypeVar("T")

AT_A_TIME = 4  # latents, so that handing the work over costs little for each
MOST_DRAWERS = 4
# Numbers that PyTorch's generator makes at a time: tensors of such a size are the same one by one and together.
BLOCK = 16


@cache
def _drawers() -> ThreadPoolExecutor:
    count = max(1, min(MOST_DRAWERS, (os.cpu_count() or 1) // 4))
    return ThreadPoolExecutor(count, thread_name_prefix="noise")


class Ahead(Generic[T]):
    """The values of an iterator, which another thread computes before they are asked for.

    Attributes:
        used: number of the values that were asked for.
    """

    def __init__(self, values: Iterator[T], at_a_time: int) -> None:
        """Start.

        Args:
            values: nothing else may use it any more, nor what it draws from.
            at_a_time: values that are computed together, while those before them are used.
        """
        self._values, self._at_a_time = values, at_a_time
        self._ready: deque[T] = deque()
        self._next = self._order()
        self.used = 0

    def __next__(self) -> T:
        """The next one.

        Raises:
            StopIteration: there is none.
        """
        if not self._ready:
            self._ready.extend(self._next.result())
            if not self._ready:
                raise StopIteration
            self._next = self._order()
        self.used += 1
        return self._ready.popleft()

    def _order(self) -> Future[list[T]]:
        return _drawers().submit(lambda: list(islice(self._values, self._at_a_time)))


def noise_stream(
    generator: torch.Generator, shape: tuple[int, ...], count: int, used: int = 0
) -> Ahead[Tensor]:
    """Standard normal tensors, the same as if they were drawn one by one when they are needed.

    Args:
        generator: on the CPU.
        shape: of each.
        count: of all.
        used: number of the first ones that an earlier stream has given; they are drawn again, and left out.
    """
    # Not page-locked: a batch puts them together first.
    stream = Ahead(islice(_drawn(generator, shape, count), used, None), AT_A_TIME)
    stream.used = used
    return stream


def _drawn(generator: torch.Generator, shape: tuple[int, ...], count: int) -> Iterator[Tensor]:
    together = AT_A_TIME if math.prod(shape) % BLOCK == 0 else 1
    for drawn in range(0, count, together):
        yield from normal((min(together, count - drawn), *shape), generator)
