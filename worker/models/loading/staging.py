"""Host memory through which weights pass on their way to the device, or to another number format."""

import math
import mmap
from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor

HALF_BYTES = 32 * 2**20
LARGE_PAGE_BYTES = 2**21
_LARGE_PAGES: int | None = getattr(mmap, "MADV_HUGEPAGE", None)  # advice to the system; on Linux alone


class Staging:
    """Two halves of 64 MiB in turn: while one is copied or hashed, the file is read into the other.

    On CUDA they are pinned, and the copies run on a stream of their own beside the engine's kernels.
    """

    def __init__(self, device: torch.device) -> None:
        """Allocate nothing yet.

        Args:
            device: where the weights go.
        """
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._halves: list[Tensor] = []
        self._awaited: list[list[Callable[[], object]]] = [[], []]
        self._turn = 0

    @property
    def is_host(self) -> bool:
        """Whether the weights stay in the host's memory."""
        return self._device.type == "cpu"

    def allocate(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Memory of the device, of any content, that ``send`` may write to."""
        if self._device.type == "cpu":
            return in_large_pages(shape, dtype)
        target = torch.empty(shape, dtype=dtype, device=self._device)
        if self._stream is not None:
            # The allocator reuses memory that kernels queued before may still read.
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
        return target

    def take(self, size: int) -> Tensor:
        """The first ``size`` bytes of the other half, once nothing reads it any more."""
        if not self._halves:
            pinned = self._stream is not None
            self._halves = [torch.empty(HALF_BYTES, dtype=torch.uint8, pin_memory=pinned) for _ in range(2)]
        self._turn = 1 - self._turn
        for wait in self._awaited[self._turn]:
            wait()
        self._awaited[self._turn] = []
        return self._halves[self._turn][:size]

    def keep_until(self, wait: Callable[[], object]) -> None:
        """Do not hand out the half that was taken last before ``wait`` has returned."""
        self._awaited[self._turn].append(wait)

    def send(self, part: Tensor, target: Tensor) -> None:
        """Copy numbers that lie in the half that was taken last to the device, in the target's format."""
        if self._stream is None:
            target.copy_(part)
            return
        with torch.cuda.stream(self._stream):
            target.copy_(part.to(self._device, non_blocking=True))
            self.keep_until(self._stream.record_event().synchronize)

    def finish(self) -> None:
        """Wait until all that was sent has arrived, for whichever stream reads it."""
        if self._stream is not None:
            self._stream.synchronize()


def in_large_pages(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Memory of the host, of any content; in the system's large pages where it has some and the tensor fills one.

    The system clears memory page by page when it is first written. In pages of 4 KiB that takes longer than to read a
    file from the page cache.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE_PAGE_BYTES or _LARGE_PAGES is None:
        return torch.empty(shape, dtype=dtype)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without large pages
        memory.madvise(_LARGE_PAGES)
    return torch.frombuffer(memory, dtype=dtype).view(shape)
