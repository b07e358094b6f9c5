"""Values that are read from the device after its work went on, without making it wait."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor


class Readback:
    """A small tensor on its way from the device to the CPU, which starts when this is made."""

    def __init__(self, values: Tensor) -> None:
        is_cuda = values.device.type == "cuda"
        self._copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=is_cuda)
        self._copy.copy_(values, non_blocking=True)
        self._done = torch.cuda.Event() if is_cuda else None
        if self._done is not None:
            self._done.record()

    @cached_property
    def values(self) -> Sequence[float]:
        """The values; waits until they have come."""
        if self._done is not None:
            self._done.synchronize()
        values: Sequence[float] = self._copy.numpy().tolist()
        return values
