"""Values that are read from the device after its work went on, without making it wait."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from jobs.errors import DeviceLostError


class Readback:
    """A tensor on its way from the device to the CPU, which starts when this is made; any thread may wait for it."""

    def __init__(self, values: Tensor) -> None:
        is_cuda = values.device.type == "cuda"
        self._copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=is_cuda)
        self._copy.copy_(values, non_blocking=True)
        self._done = torch.cuda.Event(blocking=True) if is_cuda else None
        if self._done is not None:
            self._done.record()

    @property
    def shape(self) -> torch.Size:
        """Of the tensor; known at once."""
        return self._copy.shape

    @property
    def is_here(self) -> bool:
        """Whether the tensor has come.

        Raises:
            DeviceLostError: it never will.
        """
        if self._done is None:
            return True
        try:
            is_here: bool = self._done.query()
        except RuntimeError as error:
            raise DeviceLostError(f"the device is lost: {error}") from error
        return is_here

    @property
    def tensor(self) -> Tensor:
        """The tensor on the CPU; waits until it has come.

        Raises:
            DeviceLostError: it will never come.
        """
        if self._done is not None:
            try:
                self._done.synchronize()
            except RuntimeError as error:
                raise DeviceLostError(f"the device is lost: {error}") from error
        return self._copy

    @cached_property
    def values(self) -> Sequence[float]:
        """The values; waits as ``tensor`` does."""
        values: Sequence[float] = self.tensor.numpy().tolist()
        return values
