"""Remembers the values that were wanted last."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Latest(Generic[Key, Value]):
    """Values by their keys; gives up the least recently used."""

    def __init__(self, size: int) -> None:
        """Remember nothing yet.

        Args:
            size: number of values that are kept.
        """
        self._size = size
        self._known: OrderedDict[Key, Value] = OrderedDict()

    def of(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of a key, made if it is not known."""
        value = self._known.pop(key) if key in self._known else make()
        self._known[key] = value
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return value

    def clear(self) -> None:
        """Forget all of them."""
        self._known.clear()
