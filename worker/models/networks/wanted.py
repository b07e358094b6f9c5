"""Which shapes of a network's inputs are worth preparing."""

from collections import OrderedDict
from collections.abc import Hashable

from torch import Tensor

TIMES = 3  # that a shape is wanted before it is prepared: a picture of one or two steps is done by then
KEPT = 256  # shapes that are counted at once


def shapes(inputs: tuple[Tensor, ...]) -> Hashable:
    """The shapes of inputs [B, ...], without the number of rows."""
    return tuple((given.shape[1:], given.dtype) for given in inputs)


class Wanted:
    """Counts how often each of the latest shapes was wanted."""

    def __init__(self) -> None:
        self._counts: OrderedDict[Hashable, int] = OrderedDict()

    def often(self, key: Hashable) -> bool:
        """Count once more; whether that makes ``TIMES``."""
        count = self._counts.pop(key, 0) + 1
        self._counts[key] = count
        if len(self._counts) > KEPT:
            self._counts.popitem(last=False)
        return count >= TIMES

    def forget(self) -> None:
        """Count from zero again."""
        self._counts.clear()
