"""Host memory through which weights pass on their way to the device, or to another number format."""

from collections.abc import Callable

import torch
from torch import Tensor

HALF_BYTES = 32 * 2**20


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

    def allocate(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Uninitialised memory of the device that ``send`` may write to."""
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
