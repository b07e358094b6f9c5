"""Fresh noise of a picture's own generator, drawn ahead of need beside the denoiser."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor

AT_A_TIME = 4  # so that handing the work over costs little for each


@cache
def _drawers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="noise")


class NoiseStream:
    """Standard normal tensors, the same as if they were drawn one by one when they are needed."""

    def __init__(self, generator: torch.Generator, shape: tuple[int, ...], count: int) -> None:
        """Start to draw.

        Args:
            generator: on the CPU; nothing else may draw from it any more.
            shape: of each.
            count: of all that will be needed.
        """
        self._generator, self._shape, self._left = generator, shape, count
        self._drawn: deque[Tensor] = deque()
        self._next: Future[list[Tensor]] | None = None
        self._order()

    def draw(self) -> Tensor:
        """The next one; there are no more than were announced."""
        if not self._drawn:
            assert self._next is not None
            self._drawn.extend(self._next.result())
            self._order()
        return self._drawn.popleft()

    def _order(self) -> None:
        """Have the next ones drawn."""
        count = min(AT_A_TIME, self._left)
        self._left -= count
        self._next = _drawers().submit(self._draw, count) if count else None

    def _draw(self, count: int) -> list[Tensor]:
        return [torch.randn(self._shape, generator=self._generator) for _ in range(count)]
